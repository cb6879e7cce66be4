/* Blocks that wait for each other and did not ask to start together. */
#include "conformance_program.h"

/* A task of n blocks, while the cores are still starting, then one behind other tasks of
 * all cores: each block waits for all others. n AIVs. */
int32_t spread(uint64_t n) {
    const uint32_t count = (uint32_t)n, cells = 3 * count, rounds = 2;
    pto2_tensor_handle counters, marks, counter, mark, other;
    int64_t *met = external(&marks, rounds * cells);
    if (!met || !external(&counters, rounds) || !external(&other, 1)) return 1;
    for (uint32_t round = 0; round < rounds; round++) {
        const uint32_t first = round * cells;
        pto2_argument step[] = {pto2_use(PTO2_NO_DEP, &other)};
        for (uint32_t k = 0; round > 0 && k < 5 * count; k++)
            if (submit(NULL, "c_sleep", NULL, step, 1, k % 7, NULL)) return 1;
        if (element(&counters, round, &counter) || api->slice(graph, &marks, &first, &cells, &mark))
            return 1;
        pto2_argument arguments[] = {pto2_use(PTO2_NO_DEP, &counter), pto2_use(PTO2_NO_DEP, &mark)};
        pto2_submission submission = {
            .bytes = sizeof submission, .kernel_names = {NULL, "c_meet", NULL},
            .arguments = arguments, .argument_count = 2, .scalars = &n, .scalar_count = 1,
            .block_count = count};
        if (api->submit(graph, &submission, NULL) || api->wait(graph)) return 1;
    }
    for (uint32_t k = 0; k < rounds * cells; k++)
        if (k % 3 == 1 && expect("a block that met the others", met[k], 1)) return 1;
    return 0;
}
