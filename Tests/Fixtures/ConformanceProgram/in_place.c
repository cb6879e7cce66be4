/* A program that works in place: its tasks put nothing out. */
#include "conformance_program.h"

#include <stdlib.h>

/* What c_fold does to a cell. */
static int64_t fold(int64_t cell, int64_t a, int64_t b, uint32_t k) {
    return (int64_t)(3 * (uint64_t)cell + (uint64_t)a * (uint64_t)b + k);
}

/* Cell (row, column) of a lower triangle, row by row. */
static uint32_t place(uint32_t row, uint32_t column) { return row * (row + 1) / 2 + column; }

/* The tasks of a Cholesky decomposition of n x n blocks, an element each: in step k the
 * block on the diagonal, those below it, then all that these change. About n^3 / 6 tasks
 * in the outermost scope. Each step also comes after the first task of all by its id, and
 * holds the last one of the step before, which puts nothing out either. */
int32_t in_place(uint64_t n) {
    const uint32_t side = (uint32_t)n, count = place(side, 0);
    pto2_tensor_handle x, cell[3];
    int64_t *cells = external(&x, count);
    int64_t *expected = calloc(count, sizeof *expected);
    if (!cells || !expected) return 1;
    for (uint32_t i = 0; i < count; i++) cells[i] = expected[i] = i % 7;
    pto2_task first = {0}, last = {0};
    for (uint32_t k = 0; k < side; k++)
        for (uint32_t j = k; j < side; j++)
            for (uint32_t i = j; i < side; i++) {
                /* j == k: the step's own column, from the block on the diagonal. */
                const uint32_t at[] = {j == k ? place(k, k) : place(i, k), place(j, k),
                                       place(i, j)};
                const int is_first = i == k && j == k, has_two = at[1] != at[2];
                for (int t = 0; t < 3; t++)
                    if (element(&x, at[t], &cell[t])) return 1;
                pto2_argument arguments[] = {
                    pto2_use(has_two ? PTO2_INPUT : PTO2_INOUT, &cell[0]),
                    pto2_use(has_two ? PTO2_INPUT : PTO2_INOUT, &cell[1]),
                    pto2_use(PTO2_INOUT, &cell[2])};
                pto2_dependency dependencies[] = {pto2_after(first), pto2_retain(last)};
                const uint64_t scalar = k;
                pto2_submission submission = {
                    .bytes = sizeof submission, .kernel_names = {NULL, "c_fold", NULL},
                    .arguments = arguments, .argument_count = 3, .scalars = &scalar,
                    .scalar_count = 1, .dependencies = dependencies,
                    .dependency_count = is_first && k > 0 ? 2 : 0};
                if (api->submit(graph, &submission, &last)) return 1;
                if (is_first && k == 0) first = last;
                expected[at[2]] = fold(expected[at[2]], expected[at[0]], expected[at[1]], k);
            }
    int32_t status = api->wait(graph);
    for (uint32_t i = 0; i < count && !status; i++)
        status = expect("a block", cells[i], expected[i]);
    free(expected);
    return status;
}
