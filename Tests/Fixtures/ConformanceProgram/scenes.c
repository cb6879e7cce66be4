/* The conformance suite's scenes: each computes its expectation by itself and
 * fails the run when a result differs. */
#include "conformance_program.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* n phases of 8 writers of one element each, between which stands nothing but a
 * task without kernels. */
static int32_t barriers(uint64_t n) {
    enum { WIDTH = 8 };
    pto2_tensor_handle x;
    int64_t *values = external(&x, WIDTH);
    if (!values) return 1;
    pto2_task barrier = {0}, writers[WIDTH];
    for (uint64_t phase = 0; phase < n; phase++) {
        for (uint32_t k = 0; k < WIDTH; k++) {
            /* The element that another writer wrote before the barrier. */
            pto2_tensor_handle cell;
            if (element(&x, (uint32_t)(k + phase) % WIDTH, &cell)) return 1;
            pto2_argument step[] = {pto2_use(PTO2_NO_DEP, &cell)};
            if (submit_after("c_step", step, 1, k, &barrier, phase > 0, &writers[k])) return 1;
        }
        if (submit_after(NULL, NULL, 0, 0, writers, WIDTH, &barrier)) return 1;
    }
    if (api->wait(graph)) return 1;
    int64_t expected[WIDTH] = {0};
    for (uint64_t phase = 0; phase < n; phase++)
        for (uint32_t k = 0; k < WIDTH; k++) {
            int64_t *e = &expected[(k + phase) % WIDTH];
            *e = (int64_t)(3 * (uint64_t)*e + k);
        }
    for (uint32_t k = 0; k < WIDTH; k++)
        if (expect("an element", values[k], expected[k])) return 1;
    return 0;
}

/* n outputs of 1 MiB, one after the other, in a heap that is not twice that. */
static int32_t rebase(uint64_t n) {
    enum { COUNT = 1 << 17 };
    pto2_tensor_handle marks;
    int64_t *same = external(&marks, (uint32_t)n);
    if (!same) return 1;
    for (uint64_t i = 0; i < n; i++) {
        pto2_tensor_handle out, mark;
        if (api->scope_begin(graph) || element(&marks, (uint32_t)i, &mark)) return 1;
        pto2_argument fill[] = {output(COUNT, &out)};
        if (submit(i % 2 ? NULL : "c_fill_aic", i % 2 ? "c_fill" : NULL, NULL, fill, 1, i * COUNT,
                   NULL))
            return 1;
        pto2_argument check[] = {pto2_use(PTO2_INPUT, &out), pto2_use(PTO2_OUTPUT_EXISTING, &mark)};
        if (submit(NULL, "c_check", NULL, check, 2, i * COUNT, NULL) || api->scope_end(graph))
            return 1;
    }
    if (api->wait(graph)) return 1;
    for (uint64_t i = 0; i < n; i++)
        if (expect("an output that is whole", same[i], 1)) return 1;
    return 0;
}

/* n chains that change between AIC and AIV at every task. */
static int32_t alternate(uint64_t n) {
    enum { CHAINS = 4, LENGTH = 3 };
    pto2_tensor_handle x[CHAINS];
    int64_t *values[CHAINS];
    for (int c = 0; c < CHAINS; c++)
        if (!(values[c] = external(&x[c], LENGTH))) return 1;
    for (uint64_t i = 0; i < n; i++)
        for (int c = 0; c < CHAINS; c++) {
            pto2_argument step[] = {pto2_use(PTO2_INOUT, &x[c])};
            int matrix = (int)(i + (uint64_t)c) % 2;
            if (submit(matrix ? "c_step_aic" : NULL, matrix ? NULL : "c_step", NULL, step, 1, i,
                       NULL))
                return 1;
        }
    if (api->wait(graph)) return 1;
    uint64_t expected[LENGTH] = {0};
    for (uint64_t i = 0; i < n; i++)
        for (uint32_t k = 0; k < LENGTH; k++) expected[k] = 3 * expected[k] + i + k;
    for (int c = 0; c < CHAINS; c++)
        for (int k = 0; k < LENGTH; k++)
            if (expect("an element of a chain", values[c][k], (int64_t)expected[k])) return 1;
    return 0;
}

/* Every shape in turn, n times; each subtask counts itself once. */
static int32_t shapes(uint64_t n) {
    static const char *const kernels[5][3] = {{"c_block_aic", NULL, NULL},
                                              {NULL, "c_block", NULL},
                                              {NULL, "c_block", "c_block"},
                                              {"c_block_aic", "c_block", NULL},
                                              {"c_block_aic", "c_block", "c_block"}};
    pto2_tensor_handle x;
    int64_t *counts = external(&x, 3);
    if (!counts) return 1;
    int64_t expected[3] = {0};
    for (uint64_t i = 0; i < n; i++)
        for (int shape = 0; shape < 5; shape++) {
            pto2_argument arguments[] = {pto2_use(PTO2_INOUT, &x)};
            if (submit(kernels[shape][0], kernels[shape][1], kernels[shape][2], arguments, 1, 0,
                       NULL))
                return 1;
            for (int slot = 0; slot < 3; slot++) expected[slot] += kernels[shape][slot] != NULL;
        }
    if (api->wait(graph)) return 1;
    for (int slot = 0; slot < 3; slot++)
        if (expect("subtasks of a slot", counts[slot], expected[slot])) return 1;
    return 0;
}

/* SPMD tasks of n blocks, on AIC, on AIV, and mixed; each block is told its own
 * index and the count. */
static int32_t blocks(uint64_t n) {
    static const char *const kernels[3][3] = {{"c_block_aic", NULL, NULL},
                                              {NULL, "c_block", NULL},
                                              {"c_block_aic", "c_block", "c_block"}};
    pto2_tensor_handle x;
    int64_t *cells = external(&x, (uint32_t)n * 3);
    if (!cells) return 1;
    pto2_argument arguments[] = {pto2_use(PTO2_INOUT, &x)};
    for (int kind = 0; kind < 3; kind++) {
        pto2_submission submission = {
            .bytes = sizeof submission,
            .kernel_names = {kernels[kind][0], kernels[kind][1], kernels[kind][2]},
            .arguments = arguments, .argument_count = 1, .block_count = (uint32_t)n};
        if (api->submit(graph, &submission, NULL)) return 1;
    }
    if (api->wait(graph)) return 1;
    for (uint64_t b = 0; b < n; b++)
        for (int slot = 0; slot < 3; slot++)
            if (expect("a block's cell", cells[3 * b + (uint64_t)slot],
                       (int64_t)(b + n) * (slot == 2 ? 1 : 2)))
                return 1;
    return 0;
}

/* Blocks that start together and wait for each other: one, two, and mixed
 * tasks, among others that compete for the cores. n clusters. */
static int32_t together(uint64_t n) {
    static const char *const kernels[4][3] = {{"c_meet_aic", NULL, NULL},
                                              {NULL, "c_meet", NULL},
                                              {NULL, "c_meet", "c_meet"},
                                              {"c_meet_aic", "c_meet", "c_meet"}};
    static const uint64_t per_block[4] = {1, 1, 2, 3};
    pto2_tensor_handle counters, marks, other;
    uint32_t rounds = 12, cells = 3 * 2 * (uint32_t)n;
    if (!external(&counters, rounds) || !external(&other, 1)) return 1;
    int64_t *met = external(&marks, rounds * cells);
    if (!met) return 1;
    for (uint32_t round = 0; round < rounds; round++) {
        uint32_t kind = round % 4;
        uint64_t most = kind == 1 ? 2 * n : n;
        uint64_t count = round < 4 ? 1 : round < 8 ? most : (most + 1) / 2;
        pto2_tensor_handle counter, mark;
        uint32_t first = round * cells;
        for (int k = 0; k < 5; k++) {
            pto2_argument step[] = {pto2_use(PTO2_INOUT, &other)};
            if (submit(k % 2 ? "c_step_aic" : NULL, k % 2 ? NULL : "c_step", NULL, step, 1, 0,
                       NULL) ||
                submit("t_empty_aic", "t_empty", NULL, NULL, 0, 0, NULL))
                return 1;
        }
        if (element(&counters, round, &counter) || api->slice(graph, &marks, &first, &cells, &mark))
            return 1;
        pto2_argument arguments[] = {pto2_use(PTO2_NO_DEP, &counter), pto2_use(PTO2_NO_DEP, &mark)};
        uint64_t all = count * per_block[kind];
        pto2_submission submission = {
            .bytes = sizeof submission,
            .kernel_names = {kernels[kind][0], kernels[kind][1], kernels[kind][2]},
            .arguments = arguments, .argument_count = 2, .scalars = &all, .scalar_count = 1,
            .block_count = (uint32_t)count, .require_sync_start = 1};
        if (api->submit(graph, &submission, NULL)) return 1;
    }
    if (api->wait(graph)) return 1;
    for (uint32_t round = 0; round < rounds; round++) {
        uint32_t kind = round % 4;
        uint64_t most = kind == 1 ? 2 * n : n;
        uint64_t count = round < 4 ? 1 : round < 8 ? most : (most + 1) / 2;
        for (uint64_t b = 0; b < count; b++)
            for (int slot = 0; slot < 3; slot++)
                if (expect("a block that met the others",
                           met[round * cells + 3 * b + (uint64_t)slot],
                           kernels[kind][slot] != NULL))
                    return 1;
    }
    return 0;
}

/* Mixed tasks among n single ones that would keep every core busy: none starts
 * much later than its turn. Only with one cluster does the rule bound that
 * number; with more, other clusters go on meanwhile. */
static int32_t starvation(uint64_t n) {
    enum { EVERY = 50, SLACK = 200 };
    pto2_tensor_handle counter, tickets;
    if (!external(&counter, 1)) return 1;
    int64_t *order = external(&tickets, (uint32_t)n);
    if (!order) return 1;
    /* Until every core is there, those that are run what they can. */
    if (submit("t_empty_aic", "t_empty", "t_empty", NULL, 0, 0, NULL) || api->wait(graph)) return 1;
    for (uint64_t i = 0; i < n; i++) {
        int mixed = i % EVERY == EVERY - 1;
        pto2_tensor_handle ticket;
        if (element(&tickets, (uint32_t)i, &ticket)) return 1;
        pto2_argument arguments[] = {pto2_use(PTO2_NO_DEP, &counter),
                                     pto2_use(PTO2_OUTPUT_EXISTING, &ticket)};
        if (submit(mixed || i % 3 == 0 ? "c_ticket_aic" : NULL,
                   mixed || i % 3 != 0 ? "c_ticket" : NULL, mixed ? "c_ticket" : NULL, arguments, 2,
                   (uint64_t)mixed, NULL))
            return 1;
    }
    if (api->wait(graph)) return 1;
    for (uint64_t i = EVERY - 1; i < n; i += EVERY)
        if (order[i] > (int64_t)i + SLACK)
            return expect("the turn of a mixed task", order[i], (int64_t)i);
    return 0;
}

/* Consumers that come long after their producer's scope was closed and its task
 * CONSUMED, its entry given to others. */
static int32_t late(uint64_t n) {
    pto2_tensor_handle x, other;
    int64_t *value = external(&x, 2);
    if (!value || !external(&other, 1)) return 1;
    pto2_task producer = {0};
    uint64_t expected[2] = {0};
    for (uint64_t i = 0; i < n; i++) {
        if (api->scope_begin(graph)) return 1;
        pto2_argument step[] = {pto2_use(PTO2_INOUT, &x)};
        /* Explicitly after the last producer, too, which is long gone. */
        if (submit_after("c_step", step, 1, i, &producer, i > 0, &producer) ||
            api->scope_end(graph))
            return 1;
        for (uint32_t k = 0; k < 2; k++) expected[k] = 3 * expected[k] + i + k;
        if (i % 5 == 0 && api->wait(graph)) return 1;
        for (int k = 0; k < 40; k++) {
            pto2_argument count[] = {pto2_use(PTO2_INOUT, &other)};
            if (api->scope_begin(graph) || submit(NULL, "c_step", NULL, count, 1, 0, NULL) ||
                api->scope_end(graph))
                return 1;
        }
    }
    if (api->wait(graph)) return 1;
    return expect("the first element", value[0], (int64_t)expected[0]) ||
           expect("the second element", value[1], (int64_t)expected[1]);
}

/* n tasks that each read two earlier results and write one: every one of them
 * may be run again. In four strands, so that all cores are busy. */
static int32_t pure(uint64_t n) {
    enum { STRANDS = 4, MICROSECONDS = 200 };
    pto2_tensor_handle x;
    int64_t *cells = external(&x, (uint32_t)n + STRANDS + 3);
    if (!cells) return 1;
    for (uint64_t i = 0; i < n; i++) {
        pto2_tensor_handle a, b, out;
        if (element(&x, (uint32_t)i, &a) || element(&x, (uint32_t)(i + i % 3), &b) ||
            element(&x, (uint32_t)i + STRANDS, &out))
            return 1;
        pto2_argument arguments[] = {pto2_use(PTO2_INPUT, &a), pto2_use(PTO2_INPUT, &b),
                                     pto2_use(PTO2_OUTPUT_EXISTING, &out)};
        if (api->scope_begin(graph) ||
            submit(i % 3 ? NULL : "c_mix_aic", i % 3 ? "c_mix" : NULL, NULL, arguments, 3,
                   (uint64_t)MICROSECONDS << 32 | i, NULL) ||
            api->scope_end(graph))
            return 1;
    }
    if (api->wait(graph)) return 1;
    uint64_t *expected = calloc(n + STRANDS, sizeof *expected);
    int32_t status = expected ? 0 : 1;
    for (uint64_t i = 0; i < n && !status; i++) {
        expected[i + STRANDS] = 3 * expected[i] + expected[i + i % 3] + i;
        status = expect("a result", cells[i + STRANDS], (int64_t)expected[i + STRANDS]);
    }
    free(expected);
    return status;
}

/* Three tasks, one that crashes while it changes x in place, n that need x one
 * after the other, one more that is submitted when the failure is long known, and
 * n that do not need it. */
static int32_t failing(uint64_t n) {
    pto2_tensor_handle x, y;
    int64_t *changed = external(&x, 1), *other = external(&y, 1);
    if (!changed || !other) return 1;
    pto2_argument on_x[] = {pto2_use(PTO2_INOUT, &x)}, on_y[] = {pto2_use(PTO2_INOUT, &y)};
    for (int i = 0; i < 3; i++)
        if (submit(NULL, "c_step", NULL, on_x, 1, 1, NULL)) return 1;
    if (submit(NULL, "c_crash", NULL, on_x, 1, 0, NULL)) return 1;
    for (uint64_t i = 0; i < n; i++)
        if (submit(NULL, "c_step", NULL, on_x, 1, 1, NULL) ||
            submit("c_step_aic", NULL, NULL, on_y, 1, 1, NULL))
            return 1;
    usleep(500000);
    for (int i = 0; i < 20; i++) /* looks at the watermarks now and then */
        if (submit(NULL, "t_empty", NULL, NULL, 0, 0, NULL)) return 1;
    if (submit(NULL, "c_step", NULL, on_x, 1, 1, NULL)) return 1;
    int32_t status = api->wait(graph);
    /* The run has failed by now; what can still be seen is checked here. */
    uint64_t expected = 0;
    for (uint64_t i = 0; i < n; i++) expected = 3 * expected + 1;
    if (*changed != 13 || *other != (int64_t)expected) abort();
    return status;
}

/* n tasks that each change a tensor in place, but so that half a run and a whole
 * one give the same. */
static int32_t again(uint64_t n) {
    pto2_tensor_handle x, y;
    int64_t *cells = external(&x, (uint32_t)n);
    if (!cells || !external(&y, 1)) return 1;
    for (uint64_t i = 0; i < n; i++) {
        pto2_tensor_handle cell;
        if (element(&x, (uint32_t)i, &cell)) return 1;
        /* Written before it is read: what the mode does not say. */
        pto2_argument arguments[] = {pto2_use(PTO2_INPUT, &y), pto2_use(PTO2_INPUT, &y),
                                     pto2_use(PTO2_INOUT, &cell)};
        uint64_t scalar = 300ull << 32 | i;
        pto2_submission submission = {.bytes = sizeof submission,
                                      .kernel_names = {NULL, "c_mix", NULL}, .arguments = arguments,
                                      .argument_count = 3, .scalars = &scalar, .scalar_count = 1,
                                      .recovery = PTO2_RECOVERY_AGAIN};
        if (api->submit(graph, &submission, NULL)) return 1;
    }
    if (api->wait(graph)) return 1;
    for (uint64_t i = 0; i < n; i++)
        if (expect("a cell", cells[i], (int64_t)i)) return 1;
    return 0;
}

/* n rounds of one task of each kind that may be run again: kernels on AIV and on
 * AIC, a tensor changed in place, three kernels, four blocks. Each round reads what
 * the one before has left. */
static int32_t kinds(uint64_t n) {
    enum { BLOCKS = 4, ROW = 4 + 3 + 3 * BLOCKS };
    static const char *const mixed[3] = {"c_place_aic", "c_place", "c_place"};
    pto2_tensor_handle x;
    int64_t *cells = external(&x, (uint32_t)(n + 1) * ROW);
    if (!cells) return 1;
    for (uint32_t i = 0; i < n; i++) {
        pto2_tensor_handle before, aiv, aic, changed, placed, blocks;
        uint32_t row = (i + 1) * ROW, three = 3, all = 3 * BLOCKS, at = row + 4, last = row + 7;
        if (api->scope_begin(graph) || element(&x, row - ROW, &before) || element(&x, row, &aiv) ||
            element(&x, row + 1, &aic) || element(&x, row + 2, &changed) ||
            api->slice(graph, &x, &at, &three, &placed) ||
            api->slice(graph, &x, &last, &all, &blocks))
            return 1;
        pto2_argument one[] = {pto2_use(PTO2_INPUT, &before), pto2_use(PTO2_INPUT, &before),
                               pto2_use(PTO2_OUTPUT_EXISTING, &aiv)};
        pto2_argument two[] = {pto2_use(PTO2_INPUT, &aiv), pto2_use(PTO2_INPUT, &before),
                               pto2_use(PTO2_OUTPUT_EXISTING, &aic)};
        pto2_argument place[] = {pto2_use(PTO2_INPUT, &aiv), pto2_use(PTO2_INOUT, &changed)};
        uint64_t scalar = i;
        if (submit(NULL, "c_mix", NULL, one, 3, i + 1, NULL) ||
            submit("c_mix_aic", NULL, NULL, two, 3, i, NULL))
            return 1;
        place[1] = pto2_use(PTO2_OUTPUT_EXISTING, &placed);
        if (submit(mixed[0], mixed[1], mixed[2], place, 2, i, NULL)) return 1;
        place[1] = pto2_use(PTO2_OUTPUT_EXISTING, &blocks);
        pto2_submission spmd = {.bytes = sizeof spmd,
                                .kernel_names = {NULL, "c_place", NULL}, .arguments = place,
                                .argument_count = 2, .scalars = &scalar, .scalar_count = 1,
                                .block_count = BLOCKS};
        pto2_argument in_place[] = {pto2_use(PTO2_INPUT, &aic), pto2_use(PTO2_INPUT, &aiv),
                                    pto2_use(PTO2_INOUT, &changed)};
        pto2_submission again = {.bytes = sizeof again,
                                 .kernel_names = {NULL, "c_mix", NULL}, .arguments = in_place,
                                 .argument_count = 3, .scalars = &scalar, .scalar_count = 1,
                                 .recovery = PTO2_RECOVERY_AGAIN};
        if (api->submit(graph, &spmd, NULL) || api->submit(graph, &again, NULL) ||
            api->scope_end(graph))
            return 1;
        if (i % 2 && api->wait(graph)) return 1; /* the others become idle now and then */
    }
    if (api->wait(graph)) return 1;
    for (uint64_t i = 0; i < n; i++) {
        const int64_t *row = cells + (i + 1) * ROW;
        uint64_t before = (uint64_t)row[-ROW], aiv = 4 * before + i + 1, aic = 3 * aiv + before + i;
        if (expect("the result of an AIV", row[0], (int64_t)aiv) ||
            expect("the result of an AIC", row[1], (int64_t)aic) ||
            expect("what was changed in place", row[2], (int64_t)(3 * aic + aiv + i)))
            return 1;
        for (uint64_t slot = 0; slot < 3; slot++)
            if (expect("a kernel's cell", row[4 + slot], (int64_t)(3 * aiv + slot + i))) return 1;
        for (uint64_t b = 0; b < BLOCKS; b++)
            if (expect("a block's cell", row[8 + 3 * b], (int64_t)(3 * aiv + 5 * b + 1 + i)))
                return 1;
    }
    return 0;
}

/* A task that could be run again but must not, and kills its worker. */
static int32_t once(uint64_t n) {
    uint64_t scalar = n;
    pto2_submission submission = {.bytes = sizeof submission,
                                  .kernel_names = {NULL, "c_crash", NULL}, .scalars = &scalar,
                                  .scalar_count = 1, .recovery = PTO2_RECOVERY_ONCE};
    return api->submit(graph, &submission, NULL) || api->wait(graph);
}

/* A kernel of 20 s that changes x in place, among n that do not need it. */
static int32_t overdue(uint64_t n) {
    pto2_tensor_handle x, y;
    int64_t *other = external(&y, 1);
    if (!external(&x, 1) || !other) return 1;
    pto2_argument on_x[] = {pto2_use(PTO2_INOUT, &x)}, on_y[] = {pto2_use(PTO2_INOUT, &y)};
    if (submit(NULL, "c_sleep", NULL, on_x, 1, 20000, NULL)) return 1;
    for (uint64_t i = 0; i < n; i++)
        if (submit(NULL, "c_step", NULL, on_y, 1, 1, NULL)) return 1;
    int32_t status = api->wait(graph);
    uint64_t expected = 0;
    for (uint64_t i = 0; i < n; i++) expected = 3 * expected + 1;
    if (*other != (int64_t)expected) abort();
    return status;
}

/* A task that may be run again and crashes every time. */
static int32_t poison(uint64_t n) {
    (void)n;
    return submit(NULL, "c_crash", NULL, NULL, 0, 0, NULL) || api->wait(graph);
}

/* A task with a snapshot. */
static int32_t submit_kept(const char *aic, const char *aiv, pto2_argument *arguments,
                           uint32_t count, uint64_t scalar) {
    pto2_submission submission = {.bytes = sizeof submission,
                                  .kernel_names = {aic, aiv, NULL}, .arguments = arguments,
                                  .argument_count = count, .scalars = &scalar,
                                  .scalar_count = 1, .recovery = PTO2_RECOVERY_SNAPSHOT};
    return api->submit(graph, &submission, NULL);
}

/* n tasks that each change two views of a square in place: its upper half transposed,
 * and every other element of some of the rest. Four strands, with one square each. */
static int32_t snapshot(uint64_t n) {
    enum { STRANDS = 4, SIDE = 16, MICROSECONDS = 200 };
    static const uint32_t side[] = {SIDE, SIDE}, origin[] = {0, 0}, upper[] = {SIDE / 2, SIDE},
                          below[] = {SIDE / 2, 1}, rest[] = {SIDE / 4, SIDE / 2 - 1},
                          steps[] = {2, 2};
    static pto2_tensor_handle handles[STRANDS][2];
    static uint64_t expected[STRANDS][SIDE][SIDE];
    pto2_tensor_handle x, half;
    int64_t(*cells[STRANDS])[SIDE];
    pto2_argument arguments[STRANDS][2];
    for (int s = 0; s < STRANDS; s++) {
        if (api->external_tensor(graph, PTO2_INT64, 2, side, &x)) return 1;
        cells[s] = api->data(graph, &x);
        for (int i = 0; i < SIDE * SIDE; i++)
            cells[s][i / SIDE][i % SIDE] = (int64_t)(expected[s][i / SIDE][i % SIDE] = (uint64_t)i);
        if (api->slice(graph, &x, origin, upper, &half) ||
            api->transpose(graph, &half, 0, 1, &handles[s][0]) ||
            api->slice_steps(graph, &x, below, rest, steps, &handles[s][1]))
            return 1;
        for (int t = 0; t < 2; t++) arguments[s][t] = pto2_use(PTO2_INOUT, &handles[s][t]);
    }
    for (uint64_t i = 0; i < n; i++) {
        int s = (int)(i % STRANDS), matrix = i % 3 == 0;
        if (api->scope_begin(graph) ||
            submit_kept(matrix ? "c_walk_aic" : NULL, matrix ? NULL : "c_walk", arguments[s], 2,
                        (uint64_t)MICROSECONDS << 32 | i) ||
            api->scope_end(graph))
            return 1;
        for (uint32_t k = 0; k < SIDE * SIDE / 2; k++) {
            uint64_t *e = &expected[s][k % (SIDE / 2)][k / (SIDE / 2)];
            *e = 3 * *e + k + (uint32_t)i;
        }
        for (uint32_t k = 0; k < rest[0] * rest[1]; k++) {
            uint64_t *e = &expected[s][SIDE / 2 + 2 * (k / rest[1])][1 + 2 * (k % rest[1])];
            *e = 3 * *e + 1 + k + (uint32_t)i;
        }
    }
    if (api->wait(graph)) return 1;
    for (int s = 0; s < STRANDS; s++)
        for (int i = 0; i < SIDE * SIDE; i++)
            if (expect("an element", cells[s][i / SIDE][i % SIDE],
                       (int64_t)expected[s][i / SIDE][i % SIDE]))
                return 1;
    return 0;
}

/* n tasks in a chain, of which each loses two workers half-way through its stores
 * to every third element of a tensor. */
static int32_t halfway(uint64_t n) {
    enum { COUNT = 31 };
    static const uint32_t first = 1, count = COUNT, step = 3;
    pto2_tensor_handle x, view, attempts;
    int64_t *cells = external(&x, 3 * COUNT), *begun = external(&attempts, (uint32_t)n);
    if (!cells || !begun || api->slice_steps(graph, &x, &first, &count, &step, &view)) return 1;
    for (uint64_t i = 0; i < n; i++) {
        pto2_tensor_handle attempt;
        if (element(&attempts, (uint32_t)i, &attempt)) return 1;
        pto2_argument arguments[] = {pto2_use(PTO2_INOUT, &view), pto2_use(PTO2_INPUT, &attempt)};
        if (submit_kept(NULL, "c_halfway", arguments, 2, 0)) return 1;
    }
    if (api->wait(graph)) return 1;
    uint64_t expected[COUNT] = {0};
    for (uint64_t i = 0; i < n; i++) {
        for (uint32_t k = 0; k < COUNT; k++) expected[k] = 3 * expected[k] + k;
        if (expect("attempts of a task", begun[i], 3)) return 1;
    }
    for (uint32_t k = 0; k < 3 * COUNT; k++)
        if (expect("an element", cells[k], k % 3 == 1 ? (int64_t)expected[k / 3] : 0)) return 1;
    return 0;
}

int32_t run_scene(const char *name, uint64_t n) {
    static const struct {
        const char *name;
        int32_t (*run)(uint64_t);
    } scenes[] = {{"barriers", barriers}, {"rebase", rebase},     {"alternate", alternate},
                  {"shapes", shapes},     {"blocks", blocks},     {"together", together},
                  {"starvation", starvation}, {"late", late},
                  {"pure", pure},         {"failing", failing},     {"poison", poison},
                  {"overdue", overdue},   {"again", again},         {"once", once},
                  {"snapshot", snapshot}, {"halfway", halfway}, {"kinds", kinds}};
    for (size_t k = 0; k < sizeof scenes / sizeof *scenes; k++)
        if (!strcmp(name, scenes[k].name)) return scenes[k].run(n);
    return api->fail(graph, "no such case");
}
