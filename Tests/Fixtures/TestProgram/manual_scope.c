/* Manual scopes: explicit dependencies alone order the tasks. */
#include "scenes.h"

#include <stdlib.h>

/* Two tasks that write one tensor and wait for each other: they can only both
 * finish when neither was ordered after the other. */
static int32_t meeting(void) {
    pto2_tensor_handle x;
    int64_t *cells = external(&x, 3);
    /* Over when both AIV cores are there. */
    pto2_submission start = {.bytes = sizeof start,
                             .kernel_names = {NULL, "t_empty", NULL}, .block_count = 2,
                             .require_sync_start = 1};
    if (!cells || api->submit(graph, &start, NULL) || api->wait(graph)) return 1;
    if (api->scope_begin_manual(graph)) return 1;
    pto2_argument arguments[] = {pto2_use(PTO2_INOUT, &x)};
    for (uint64_t k = 1; k <= 2; k++)
        if (submit(NULL, "t_meet", NULL, arguments, 1, 2, k)) return 1;
    if (api->wait(graph) || api->scope_end(graph)) return 1;
    return expect("the first that met", cells[1], 1) || expect("the second", cells[2], 1);
}

/* An n x n wavefront on one INOUT tensor: 2 n (n - 1) edges and no other. With few tasks
 * each has an output, so that it counts as an edge when it is retained, done or not. */
int32_t manual(uint64_t n) {
    if (api->bytes < sizeof(pto2_program_api)) return api->fail(graph, "an older runtime");
    if (meeting()) return 1;
    pto2_tensor_handle x;
    uint32_t shape[2] = {(uint32_t)n, (uint32_t)n};
    if (api->external_tensor(graph, PTO2_INT64, 2, shape, &x)) return 1;
    const int64_t *cells = api->data(graph, &x);
    pto2_task *tasks = calloc(n * n, sizeof *tasks);
    int32_t status = tasks ? api->scope_begin_manual(graph) : 1;
    for (uint64_t k = 0; k < n * n && !status; k++) {
        pto2_dependency dependencies[2];
        uint32_t count = 0;
        const uint32_t one = 1;
        pto2_tensor_handle out;
        if (k >= n) dependencies[count++] = pto2_retain(tasks[k - n]);
        if (k % n) dependencies[count++] = pto2_retain(tasks[k - 1]);
        pto2_argument arguments[] = {pto2_use(PTO2_INOUT, &x),
                                     pto2_output(PTO2_INT64, 1, &one, &out)};
        pto2_submission submission = {.bytes = sizeof submission,
                                      .kernel_names = {NULL, "t_cell", NULL},
                                      .arguments = arguments,
                                      .argument_count = n > 32 ? 1 : 2,
                                      .scalars = &k, .scalar_count = 1,
                                      .dependencies = dependencies, .dependency_count = count};
        status = api->submit(graph, &submission, &tasks[k]);
    }
    free(tasks);
    if (status || api->scope_end(graph) || api->wait(graph)) return 1;
    for (uint64_t k = 0; k < n * n; k++)
        if (expect("a cell", cells[k], (int64_t)(k / n + k % n + 1))) return 1;
    return 0;
}
