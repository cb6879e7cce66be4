#include "program.h"

#include <stdio.h>
#include <stdlib.h>

const pto2_program_api *api;
pto2_graph *graph;

/* What runs the program, and its calls but for those that place. */
static const pto2_program_api *runtime;
static pto2_program_api spread;
static uint32_t ranks, next_task, next_tensor;
/* A bit for each open scope, the innermost lowest: whether it is manual. */
static uint64_t manual;

/* The next task goes to the next rank, unless the program says where, or the rank must be the
 * one that has its tensors: in a manual scope, and where one is used without order. */
static int may_place(const pto2_submission *task) {
    if (ranks == 1 || manual & 1 || task->bytes != sizeof *task || task->run_on) return 0;
    for (uint32_t k = 0; k < task->argument_count && k < 32 && task->arguments; k++) {
        const pto2_access access = task->arguments[k].access;
        if (access == PTO2_NO_DEP || access == PTO2_NO_DEP_CREATED) return 0;
    }
    return 1;
}

static pto2_error submit_placed(pto2_graph *g, const pto2_submission *task, pto2_task *id) {
    pto2_submission placed;
    if (!may_place(task)) return runtime->submit(g, task, id);
    placed = *task;
    placed.run_on = 1 + next_task++ % ranks;
    return runtime->submit(g, &placed, id);
}

/* And so do tensors. */
static pto2_error tensor_placed(pto2_graph *g, pto2_dtype dtype, uint32_t rank,
                                const uint32_t *shape, pto2_tensor_handle *out) {
    return runtime->external_tensor_on(g, dtype, rank, shape, next_tensor++ % ranks, out);
}

static pto2_error begin_placed(pto2_graph *g) {
    manual <<= 1;
    return runtime->scope_begin(g);
}

static pto2_error begin_manual_placed(pto2_graph *g) {
    manual = manual << 1 | 1;
    return runtime->scope_begin_manual(g);
}

static pto2_error begin_named_placed(pto2_graph *g, const char *name, int32_t is_manual) {
    manual = manual << 1 | (is_manual != 0);
    return runtime->scope_begin_named(g, name, is_manual);
}

static pto2_error end_placed(pto2_graph *g) {
    manual >>= 1;
    return runtime->scope_end(g);
}

void start(const pto2_program_api *program_api, pto2_graph *program_graph) {
    pto2_machine machine = {.bytes = sizeof machine};
    api = program_api;
    graph = program_graph;
    if (!getenv("PTO2_TEST_PLACED") || api->machine(graph, &machine)) return;
    runtime = api;
    ranks = machine.ranks;
    spread = *runtime;
    spread.submit = submit_placed;
    spread.external_tensor = tensor_placed;
    spread.scope_begin = begin_placed;
    spread.scope_begin_manual = begin_manual_placed;
    spread.scope_begin_named = begin_named_placed;
    spread.scope_end = end_placed;
    api = &spread;
}

int64_t *external(pto2_tensor_handle *tensor, uint32_t count) {
    if (api->external_tensor(graph, PTO2_INT64, 1, &count, tensor)) return NULL;
    return api->data(graph, tensor);
}

int32_t expect(const char *what, int64_t found, int64_t expected) {
    if (found == expected) return 0;
    char message[128];
    snprintf(message, sizeof message, "%s is %lld, expected %lld", what, (long long)found,
             (long long)expected);
    return api->fail(graph, message);
}
