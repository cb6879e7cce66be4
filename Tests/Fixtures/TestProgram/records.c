/* What begins with its size, arrays of records, handles instead of names, errors as
 * values. */
#include "scenes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Records of a program that was compiled with a later header: more members, all 0. */
typedef struct {
    pto2_submission known;
    uint64_t later[2];
} later_submission;
typedef struct {
    pto2_argument known;
    uint64_t later;
} later_argument;

/* n tasks in one call that add 0 to n - 1, each a record longer than the runtime's. */
static int32_t submitted_together(uint64_t n) {
    pto2_tensor_handle x;
    int64_t *sum = external(&x, 1);
    pto2_kernel add = {0};
    if (!sum || api->kernel(graph, "t_add", &add)) return 1;
    later_submission *list = calloc(n, sizeof *list);
    later_argument *arguments = calloc(n, sizeof *arguments);
    uint64_t(*scalars)[2] = calloc(n, sizeof *scalars);
    pto2_task *tasks = calloc(n, sizeof *tasks);
    uint32_t done = 0;
    int32_t status = list && arguments && scalars && tasks ? 0 : 1;
    for (uint64_t k = 0; k < n && !status; k++) {
        scalars[k][0] = k;
        arguments[k].known = pto2_use(PTO2_INOUT, &x);
        arguments[k].known.bytes = sizeof arguments[k];
        list[k].known = (pto2_submission){.bytes = sizeof list[k], .kernels = {{0}, add, {0}},
                                          .arguments = &arguments[k].known, .argument_count = 1,
                                          .scalars = scalars[k], .scalar_count = 2};
    }
    if (!status) status = api->submit_many(graph, &list->known, (uint32_t)n, tasks, &done);
    if (!status) status = api->wait(graph);
    if (!status)
        status = expect("the tasks submitted", done, (int64_t)n) ||
                 expect("their sum", *sum, (int64_t)(n * (n - 1) / 2)) ||
                 expect("tasks between the first and the last",
                        (uint32_t)(tasks[n - 1].id - tasks[0].id), (int64_t)n - 1);
    free(list);
    free(arguments);
    free(scalars);
    free(tasks);
    return status;
}

static int32_t about_the_machine(void) {
    struct {
        pto2_machine known;
        uint64_t later;
    } machine = {.known = {.bytes = sizeof machine}, .later = ~0ull};
    return api->machine(graph, &machine.known) ||
           expect("the size", machine.known.bytes, sizeof machine) ||
           expect("cores", machine.known.cores, 3 * (int64_t)machine.known.clusters) ||
           expect("rings", machine.known.rings, 4) ||
           expect("a member not known", (int64_t)machine.later, 0);
}

/* The second of three tasks is refused: what the program is told about it. The error
 * is the run's, whatever this returns; a wrong one is printed. */
static int32_t told(void) {
    pto2_submission list[3] = {{.bytes = sizeof *list}, {.bytes = sizeof *list},
                               {.bytes = sizeof *list}};
    list[1].scalar_count = PTO2_MAX_SCALARS + 1;
    uint64_t scalars[PTO2_MAX_SCALARS + 1] = {0};
    list[1].scalars = scalars;
    uint32_t done = 99;
    pto2_error_info info = {.bytes = sizeof info};
    if (api->error_info(graph, &info) || info.code || info.message[0]) return 2;
    if (api->submit_many(graph, list, 3, NULL, &done) != PTO2_ERROR_INVALID_ARGS) return 3;
    if (done != 1) return 4;
    if (api->error_info(graph, &info) || info.code != PTO2_ERROR_INVALID_ARGS) return 5;
    if (info.needed != PTO2_MAX_SCALARS + 1 || info.available != PTO2_MAX_SCALARS) return 6;
    if (info.ring != -1 || info.task != PTO2_NO_TASK) return 7;
    if (!strstr(info.message, "a task can have 16 scalars at most")) return 8;
    if (strcmp(info.message, api->error_message(graph))) return 9;
    /* Later calls repeat the code. */
    if (api->wait(graph) != PTO2_ERROR_INVALID_ARGS) return 10;
    info.bytes = 8;
    if (api->error_info(graph, &info) != PTO2_ERROR_INVALID_ARGS) return 11;
    return 0;
}

int32_t records(uint64_t n) { return submitted_together(n) || about_the_machine(); }

int32_t refusal(void) {
    const int32_t step = told();
    printf(step ? "step %d is wrong\n" : "as told\n", step);
    return fflush(stdout);
}
