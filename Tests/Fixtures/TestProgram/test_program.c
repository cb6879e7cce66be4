/* Programs that tests run: the first argument says which. Each checks its own
 * result and fails the run when it is wrong. */
#include "scenes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const *pto2_program_images(void) {
    static const char *const images[] = {"TestKernels", NULL};
    return images;
}

int32_t submit(const char *aic, const char *aiv0, const char *aiv1,
               const pto2_argument *arguments, uint32_t count, uint64_t first, uint64_t second) {
    uint64_t scalars[2] = {first, second};
    pto2_submission submission = {.bytes = sizeof submission,
                                  .kernel_names = {aic, aiv0, aiv1},
                                  .arguments = arguments,
                                  .argument_count = count,
                                  .scalars = scalars,
                                  .scalar_count = 2};
    return api->submit(graph, &submission, NULL);
}

/* Read-modify-write of one element, n times: lost order shows as a lost sum. A test that is to
 * see it fail expects so much more. */
static int32_t chain(uint64_t n, int64_t more) {
    pto2_tensor_handle x;
    int64_t *value = external(&x, 1);
    if (!value) return 1;
    pto2_argument arguments[] = {pto2_use(PTO2_INOUT, &x)};
    for (uint64_t i = 0; i < n; i++)
        if (i % 3 == 0 ? submit("t_add_aic", NULL, NULL, arguments, 1, i, 0)
                       : submit(NULL, "t_add", NULL, arguments, 1, i, 0))
            return 1;
    if (api->wait(graph)) return 1;
    return expect("the sum", *value, (int64_t)(n * (n - 1) / 2) + more);
}

/* The same on one core: scheduler and one worker take turns. */
static int32_t aivchain(uint64_t n) {
    pto2_tensor_handle x;
    int64_t *value = external(&x, 1);
    if (!value) return 1;
    pto2_argument arguments[] = {pto2_use(PTO2_INOUT, &x)};
    for (uint64_t i = 0; i < n; i++)
        if (submit(NULL, "t_add", NULL, arguments, 1, i, 0)) return 1;
    if (api->wait(graph)) return 1;
    return expect("the sum", *value, (int64_t)(n * (n - 1) / 2));
}

/* A writer and eight slow readers per round: a reader that sees another
 * round's value proves a lost read-after-write or write-after-read edge. */
static int32_t rounds(uint64_t n) {
    enum { READERS = 8 };
    pto2_tensor_handle x, out;
    if (!external(&x, 1)) return 1;
    int64_t *seen = external(&out, (uint32_t)n * READERS);
    if (!seen) return 1;
    for (uint64_t i = 0; i < n; i++) {
        pto2_argument write[] = {pto2_use(PTO2_INOUT, &x)};
        if (submit(NULL, "t_set", NULL, write, 1, i + 1, 0)) return 1;
        for (uint32_t r = 0; r < READERS; r++) {
            pto2_tensor_handle cell;
            uint32_t offset = (uint32_t)i * READERS + r, one = 1;
            if (api->slice(graph, &out, &offset, &one, &cell)) return 1;
            pto2_argument copy[] = {pto2_use(PTO2_INPUT, &x), pto2_use(PTO2_INOUT, &cell)};
            if (submit(NULL, "t_copy", NULL, copy, 2, r * 3, 0)) return 1;
        }
    }
    if (api->wait(graph)) return 1;
    for (uint64_t i = 0; i < n * READERS; i++)
        if (expect("what a reader saw", seen[i], (int64_t)(i / READERS) + 1)) return 1;
    return 0;
}

/* Tasks of all five shapes and dummies, in nested scopes. */
static int32_t mixed(uint64_t n) {
    pto2_tensor_handle x;
    int64_t *marks = external(&x, 3);
    if (!marks) return 1;
    int64_t expected[3] = {0, 0, 0};
    const char *aic[] = {"t_mark_aic", NULL, NULL, "t_mark_aic", "t_mark_aic", NULL};
    const char *aiv0[] = {NULL, "t_mark", "t_mark", "t_mark", "t_mark", NULL};
    const char *aiv1[] = {NULL, NULL, "t_mark", NULL, "t_mark", NULL};
    for (uint64_t i = 0; i < n; i++) {
        int shape = (int)(i % 6), depth = (int)(i % 7);
        for (int d = 0; d < depth; d++)
            if (api->scope_begin(graph)) return 1;
        pto2_argument arguments[] = {pto2_use(PTO2_INOUT, &x)};
        if (submit(aic[shape], aiv0[shape], aiv1[shape], arguments, 1, 0, 0)) return 1;
        expected[0] += aic[shape] != NULL;
        expected[1] += aiv0[shape] != NULL;
        expected[2] += aiv1[shape] != NULL;
        for (int d = 0; d < depth; d++)
            if (api->scope_end(graph)) return 1;
    }
    if (api->wait(graph)) return 1;
    return expect("AIC marks", marks[0], expected[0]) ||
           expect("AIV0 marks", marks[1], expected[1]) ||
           expect("AIV1 marks", marks[2], expected[2]);
}

/* Scopes n deep with three tasks each, all open at once. */
static int32_t nested(uint64_t n) {
    for (uint64_t i = 0; i < n; i++) {
        if (api->scope_begin(graph)) return 1;
        for (int k = 0; k < 3; k++) {
            const uint32_t one = 1;
            pto2_tensor_handle out;
            pto2_argument arguments[] = {pto2_output(PTO2_INT64, 1, &one, &out)};
            if (submit(NULL, "t_empty", NULL, arguments, 1, 0, 0)) return 1;
        }
    }
    for (uint64_t i = 0; i < n; i++)
        if (api->scope_end(graph)) return 1;
    return api->wait(graph);
}

/* Outputs in nested scopes, each read after it was written over the whole. */
static int32_t outputs(uint64_t n) {
    pto2_tensor_handle total;
    int64_t *sum = external(&total, 1);
    if (!sum) return 1;
    for (uint64_t i = 0; i < n; i++) {
        if (pto2_scope_begin_named(api, graph, "output")) return 1;
        pto2_tensor_handle part, one;
        const uint32_t some = 1 + (uint32_t)(i % 100), single = 1;
        pto2_argument make[] = {pto2_output(PTO2_INT64, 1, &some, &part)};
        if (submit(NULL, "t_empty", NULL, make, 1, 0, 0)) return 1;
        uint32_t offset = 0, length = 1;
        if (api->slice(graph, &part, &offset, &length, &one)) return 1;
        pto2_argument set[] = {pto2_use(PTO2_INOUT, &one)};
        if (submit(NULL, "t_set", NULL, set, 1, i, 0)) return 1;
        pto2_tensor_handle result;
        pto2_argument add[] = {pto2_use(PTO2_INPUT, &one),
                               pto2_output(PTO2_INT64, 1, &single, &result)};
        if (submit(NULL, "t_sum", NULL, add, 2, 0, 0)) return 1;
        if (i + 1 == n) {
            pto2_argument last[] = {pto2_use(PTO2_INPUT, &result), pto2_use(PTO2_INOUT, &total)};
            if (submit(NULL, "t_copy", NULL, last, 2, 0, 0)) return 1;
        }
        if (api->scope_end(graph)) return 1;
    }
    if (api->wait(graph)) return 1;
    return expect("the last sum", *sum, (int64_t)n - 1);
}

/* SPMD tasks of 1 to n blocks, on AIC, on AIV, and mixed. */
static int32_t spmd(uint64_t n) {
    static const char *const kernels[3][3] = {{"t_block_aic", NULL, NULL},
                                              {NULL, "t_block", NULL},
                                              {"t_block_aic", "t_block", "t_block"}};
    pto2_tensor_handle x;
    uint32_t shape[2] = {(uint32_t)n, 3};
    if (api->external_tensor(graph, PTO2_INT64, 2, shape, &x)) return 1;
    const int64_t *cells = api->data(graph, &x);
    for (uint32_t kind = 0; kind < 3; kind++) {
        for (uint32_t blocks = 1; blocks <= n; blocks += 1 + blocks / 3) {
            pto2_argument arguments[] = {pto2_use(PTO2_INOUT, &x)};
            uint64_t scalars[2] = {0, blocks % 5};
            pto2_submission submission = {
                .bytes = sizeof submission,
                .kernel_names = {kernels[kind][0], kernels[kind][1], kernels[kind][2]},
                .arguments = arguments, .argument_count = 1, .scalars = scalars,
                .scalar_count = 2, .block_count = blocks, .near = 1};
            if (api->submit(graph, &submission, NULL)) return 1;
        }
    }
    if (api->wait(graph)) return 1;
    for (uint64_t b = 0; b < n; b++)
        for (int slot = 0; slot < 3; slot++) {
            int64_t expected = 0;
            for (uint32_t kind = 0; kind < 3; kind++)
                for (uint32_t blocks = 1; blocks <= n; blocks += 1 + blocks / 3)
                    if (kernels[kind][slot] && b < blocks) expected += 1 + blocks;
            if (expect("a block's element", cells[3 * b + (uint64_t)slot], expected)) return 1;
        }
    return 0;
}

/* n blocks that must start together and wait for each other, while other tasks
 * compete for the cores. */
static int32_t together(uint64_t n) {
    enum { ROUNDS = 10 };
    pto2_tensor_handle counters, results, other;
    if (!external(&counters, ROUNDS)) return 1;
    const int64_t *met = external(&results, ROUNDS * (uint32_t)n);
    if (!met || !external(&other, 64)) return 1;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        for (uint32_t k = 0; k < 20; k++) {
            pto2_tensor_handle cell;
            uint32_t offset = (round * 20 + k) % 64, one = 1;
            if (api->slice(graph, &other, &offset, &one, &cell)) return 1;
            pto2_argument add[] = {pto2_use(PTO2_INOUT, &cell)};
            if (submit(k % 4 ? NULL : "t_add_aic", k % 2 ? "t_add" : NULL,
                       k % 4 == 2 ? "t_add" : NULL, add, 1, 0, 20))
                return 1;
        }
        pto2_tensor_handle counter, result;
        uint32_t one = 1, first = round * (uint32_t)n, count = (uint32_t)n;
        if (api->slice(graph, &counters, &round, &one, &counter) ||
            api->slice(graph, &results, &first, &count, &result))
            return 1;
        pto2_argument arguments[] = {pto2_use(PTO2_NO_DEP, &counter),
                                     pto2_use(PTO2_NO_DEP, &result)};
        pto2_submission submission = {.bytes = sizeof submission,
                                      .kernel_names = {NULL, "t_rendezvous", NULL},
                                      .arguments = arguments, .argument_count = 2,
                                      .block_count = (uint32_t)n, .require_sync_start = 1};
        if (api->submit(graph, &submission, NULL)) return 1;
    }
    if (api->wait(graph)) return 1;
    for (uint64_t b = 0; b < ROUNDS * n; b++)
        if (expect("a block that met all others", met[b], 1)) return 1;
    return 0;
}

/* An n x n wavefront whose order comes from explicit dependencies alone. */
static int32_t wavefront(uint64_t n) {
    pto2_tensor_handle x;
    uint32_t shape[2] = {(uint32_t)n, (uint32_t)n};
    if (api->external_tensor(graph, PTO2_INT64, 2, shape, &x)) return 1;
    const int64_t *cells = api->data(graph, &x);
    pto2_task *tasks = calloc(n * n, sizeof *tasks);
    int32_t status = tasks ? 0 : 1;
    for (uint64_t k = 0; k < n * n && !status; k++) {
        pto2_dependency dependencies[2];
        uint32_t count = 0;
        if (k >= n) dependencies[count++] = pto2_after(tasks[k - n]);
        if (k % n) dependencies[count++] = pto2_retain(tasks[k - 1]);
        pto2_argument arguments[] = {pto2_use(PTO2_NO_DEP, &x)};
        pto2_submission submission = {.bytes = sizeof submission,
                                      .kernel_names = {NULL, "t_cell", NULL},
                                      .arguments = arguments,
                                      .argument_count = 1, .scalars = &k, .scalar_count = 1,
                                      .dependencies = dependencies, .dependency_count = count};
        status = api->submit(graph, &submission, &tasks[k]);
    }
    free(tasks);
    if (status || api->wait(graph)) return 1;
    for (uint64_t k = 0; k < n * n; k++)
        if (expect("a cell", cells[k], (int64_t)(k / n + k % n + 1))) return 1;
    return 0;
}

/* Every comparison, true and false, on an element a task has just computed;
 * a consumer of the skipped task runs all the same. */
static int32_t predicates(void) {
    static const int holds[6][3] = {/* element < = > value */
                                    {0, 1, 0}, {1, 0, 1}, {0, 0, 1},
                                    {1, 0, 0}, {0, 1, 1}, {1, 1, 0}};
    enum { CASES = 6 * 3 };
    pto2_tensor_handle element, runs, after;
    if (!external(&element, 1)) return 1;
    int64_t *run = external(&runs, CASES), *next = external(&after, CASES);
    if (!run || !next) return 1;
    for (uint32_t k = 0; k < CASES; k++) {
        pto2_argument set[] = {pto2_use(PTO2_INOUT, &element)};
        if (submit(NULL, "t_set", NULL, set, 1, k % 3 - 1 + 10, 20)) return 1;
        pto2_tensor_handle cell, copy;
        uint32_t one = 1, zero = 0;
        if (api->slice(graph, &runs, &k, &one, &cell) || api->slice(graph, &after, &k, &one, &copy))
            return 1;
        pto2_argument arguments[] = {pto2_use(PTO2_INOUT, &cell)};
        uint64_t scalars[2] = {1, 0};
        pto2_predicate predicate = {.bytes = sizeof predicate, .comparison = k / 3,
                                    .tensor = &element, .index = &zero, .integer = 10};
        pto2_submission submission = {
            .bytes = sizeof submission, .kernel_names = {NULL, "t_add", NULL},
            .arguments = arguments, .argument_count = 1, .scalars = scalars, .scalar_count = 2,
            .predicate = &predicate};
        if (api->submit(graph, &submission, NULL)) return 1;
        pto2_argument consumer[] = {pto2_use(PTO2_INPUT, &cell),
                                    pto2_use(PTO2_OUTPUT_EXISTING, &copy)};
        if (submit(NULL, "t_copy", NULL, consumer, 2, 0, 0)) return 1;
    }
    if (api->wait(graph)) return 1;
    for (uint32_t k = 0; k < CASES; k++)
        if (expect("a predicated run", run[k], holds[k / 3][k % 3]) ||
            expect("its consumer's copy", next[k], run[k]))
            return 1;
    return 0;
}

/* Written in place again and again without being read: the slow readers of
 * each value come before the next one is written. */
static int32_t existing(uint64_t n) {
    pto2_tensor_handle x, out;
    if (!external(&x, 1)) return 1;
    int64_t *seen = external(&out, (uint32_t)n);
    if (!seen) return 1;
    for (uint64_t i = 0; i < n; i++) {
        pto2_tensor_handle cell;
        uint32_t offset = (uint32_t)i, one = 1;
        if (api->slice(graph, &out, &offset, &one, &cell)) return 1;
        pto2_argument set[] = {pto2_use(PTO2_OUTPUT_EXISTING, &x)};
        pto2_argument copy[] = {pto2_use(PTO2_INPUT, &x), pto2_use(PTO2_OUTPUT_EXISTING, &cell)};
        if (submit(NULL, "t_set", NULL, set, 1, i * i, 0) ||
            submit(NULL, "t_copy", NULL, copy, 2, i % 7, 0))
            return 1;
    }
    if (api->wait(graph)) return 1;
    for (uint64_t i = 0; i < n; i++)
        if (expect("a copy", seen[i], (int64_t)(i * i))) return 1;
    return 0;
}

/* Independent short tasks until the run is ended from outside. */
static int32_t endless(void) {
    pto2_tensor_handle x[8];
    for (int i = 0; i < 8; i++)
        if (!external(&x[i], 1)) return 1;
    printf("running\n");
    fflush(stdout);
    for (;;) {
        /* The tasks of a scope are CONSUMED only after its end. */
        if (api->scope_begin(graph)) return 1;
        for (uint64_t i = 0; i < 1000; i++) {
            pto2_argument arguments[] = {pto2_use(PTO2_INOUT, &x[i % 8])};
            if (i % 2 ? submit("t_add_aic", NULL, NULL, arguments, 1, 1, 20)
                      : submit(NULL, "t_add", NULL, arguments, 1, 1, 20))
                return 1;
        }
        if (api->scope_end(graph)) return 1;
    }
}

/* A few tasks, then one that raises a signal. */
static int32_t crash(uint64_t signal) {
    pto2_tensor_handle x;
    if (!external(&x, 1)) return 1;
    pto2_argument arguments[] = {pto2_use(PTO2_INOUT, &x)};
    for (int i = 0; i < 5; i++)
        if (submit(NULL, "t_add", NULL, arguments, 1, 1, 0)) return 1;
    if (submit(NULL, "t_crash", NULL, arguments, 1, signal, 0)) return 1;
    return api->wait(graph);
}

/* A kernel that stores before its tensor, into pages of other writers. */
static int32_t wild(uint64_t distance) {
    pto2_tensor_handle x;
    if (!external(&x, 1)) return 1;
    pto2_argument arguments[] = {pto2_use(PTO2_INOUT, &x)};
    if (submit(NULL, "t_wild_store", NULL, arguments, 1, distance, 0)) return 1;
    return api->wait(graph);
}

/* A kernel that stores into the protocol section of this kind, beside a chain that
 * does not need it. */
static int32_t section(uint64_t kind) {
    enum { STEPS = 300 };
    pto2_tensor_handle x, y;
    int64_t *ran = external(&x, 1), *sum = external(&y, 1);
    if (!ran || !sum) return 1;
    pto2_argument on_x[] = {pto2_use(PTO2_INOUT, &x)}, on_y[] = {pto2_use(PTO2_INOUT, &y)};
    for (int i = 0; i < STEPS; i++) {
        if (i == STEPS / 2 && submit(NULL, "t_section", NULL, on_x, 1, kind, 0)) return 1;
        if (submit("t_add_aic", NULL, NULL, on_y, 1, 1, 20)) return 1;
    }
    int32_t status = api->wait(graph);
    printf("ran %lld sum %lld\n", (long long)*ran, (long long)*sum);
    fflush(stdout);
    return status;
}

/* A kernel that spoils its core's page the first `times` times it runs, beside a
 * chain on other cores. */
static int32_t scribble(uint64_t how, uint64_t times) {
    enum { STEPS = 300 };
    pto2_tensor_handle x, y;
    int64_t *runs = external(&x, 1), *sum = external(&y, 1);
    if (!runs || !sum) return 1;
    pto2_argument on_x[] = {pto2_use(PTO2_NO_DEP, &x)}, on_y[] = {pto2_use(PTO2_INOUT, &y)};
    uint64_t scalars[2] = {how, times};
    pto2_submission submission = {.bytes = sizeof submission,
                                  .kernel_names = {times > 1 ? "t_scribble_aic" : NULL,
                                              times > 1 ? NULL : "t_scribble", NULL},
                                  .arguments = on_x, .argument_count = 1, .scalars = scalars,
                                  .scalar_count = 2, .recovery = PTO2_RECOVERY_AGAIN};
    for (int i = 0; i < STEPS; i++) {
        if (i == STEPS / 2 && api->submit(graph, &submission, NULL)) return 1;
        if (submit(times > 1 ? NULL : "t_add_aic", times > 1 ? "t_add" : NULL, NULL, on_y, 1, 1,
                   20))
            return 1;
    }
    int32_t status = api->wait(graph);
    printf("runs %lld sum %lld\n", (long long)*runs, (long long)*sum);
    fflush(stdout);
    return status;
}

int32_t pto2_program_main(const pto2_program_api *program_api, pto2_graph *program_graph,
                          int32_t argc, const char *const *argv) {
    start(program_api, program_graph);
    if (argc < 2) return api->fail(graph, "which test?");
    uint64_t n = argc > 2 ? strtoull(argv[2], NULL, 10) : 1000;
    if (!strcmp(argv[1], "chain")) return chain(n, argc > 3 ? 1 : 0);
    if (!strcmp(argv[1], "aivchain")) return aivchain(n);
    if (!strcmp(argv[1], "rounds")) return rounds(n);
    if (!strcmp(argv[1], "mixed")) return mixed(n);
    if (!strcmp(argv[1], "nested")) return nested(n);
    if (!strcmp(argv[1], "outputs")) return outputs(n);
    if (!strcmp(argv[1], "spmd")) return spmd(n);
    if (!strcmp(argv[1], "together")) return together(n);
    if (!strcmp(argv[1], "wavefront")) return wavefront(n);
    if (!strcmp(argv[1], "manual")) return manual(n);
    if (!strcmp(argv[1], "views")) return views();
    if (!strcmp(argv[1], "tiles")) return tiles(n);
    if (!strcmp(argv[1], "beyond")) return beyond(argc > 2 ? argv[2] : "");
    if (!strcmp(argv[1], "comb")) return comb(n);
    if (!strcmp(argv[1], "fills")) return fills(n);
    if (!strcmp(argv[1], "records")) return records(n);
    if (!strcmp(argv[1], "refusal")) return refusal();
    if (!strcmp(argv[1], "replay")) return replay(n);
    if (!strcmp(argv[1], "misused-replay")) return misused_replay(n);
    if (!strcmp(argv[1], "names")) return names();
    if (!strcmp(argv[1], "many-names")) return many_names(n);
    if (!strcmp(argv[1], "elements")) return elements(n);
    if (!strcmp(argv[1], "late-get")) return late(0);
    if (!strcmp(argv[1], "late-set")) return late(1);
    if (!strcmp(argv[1], "predicates")) return predicates();
    if (!strcmp(argv[1], "predicate-types")) return predicate_types();
    if (!strcmp(argv[1], "existing")) return existing(n);
    if (!strcmp(argv[1], "endless")) return endless();
    if (!strcmp(argv[1], "crash")) return crash(n);
    if (!strcmp(argv[1], "wild")) return wild(n);
    if (!strcmp(argv[1], "section")) return section(n);
    if (!strcmp(argv[1], "scribble"))
        return scribble(n, argc > 3 ? strtoull(argv[3], NULL, 10) : 1);
    if (!strcmp(argv[1], "status")) return (int32_t)n;
    if (!strcmp(argv[1], "fail")) return api->fail(graph, "as the test asked");
    return api->fail(graph, "no such test");
}
