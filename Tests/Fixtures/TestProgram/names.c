/* Names of tasks (ScopeNameTests.swift). */
#include "scenes.h"

#include <stddef.h>
#include <stdio.h>

/* A task that adds 1 to x. */
static int32_t add(const char *name, size_t bytes, pto2_tensor_handle *x, pto2_tensor_handle *y) {
    static const uint64_t scalars[] = {1, 0};
    pto2_submission task = {.bytes = (uint32_t)bytes, .kernel_names = {NULL, "t_add", NULL},
                            .argument_count = 2, .scalars = scalars, .scalar_count = 2,
                            .name = name};
    pto2_argument arguments[] = {pto2_use(PTO2_INOUT, x), pto2_use(PTO2_INOUT, y)};
    task.arguments = arguments;
    return api->submit(graph, &task, NULL);
}

/* Eleven tasks in scopes with a name and without, two of them recorded and replayed elsewhere. */
int32_t names(void) {
    pto2_tensor_handle holes[2], same[2];
    int64_t *x = external(&holes[0], 1);
    if (!x || !external(&holes[1], 1)) return 1;
    same[0] = same[1] = holes[0];
    const size_t whole = sizeof(pto2_submission), old = offsetof(pto2_submission, name);
    pto2_template template;
    pto2_holes record = {.bytes = sizeof record, .tensor_count = 2, .tensors = holes};
    if (add("first", whole, &holes[0], &holes[1])) return 1;
    /* Ring 1. The fourth is of a program that was compiled before there were names. */
    if (pto2_scope_begin_named(api, graph, "layer") ||
        add("gemm", whole, &holes[0], &holes[1]) || add(NULL, whole, &holes[0], &holes[1]) ||
        add("", whole, &holes[0], &holes[1]) || add("gemm", old, &holes[0], &holes[1]) ||
        api->record_begin(graph, &record) || add("gemm", whole, &holes[0], &holes[1]) ||
        add(NULL, whole, &holes[0], &holes[1]) || api->record_end(graph, NULL, 0, &template) ||
        api->scope_end(graph))
        return 1;
    if (pto2_scope_begin_named(api, graph, "other") ||
        api->replay(graph, template, &record, NULL, NULL))
        return 1;
    /* What is one tensor now was two: task by task. */
    record.tensors = same;
    if (api->replay(graph, template, &record, NULL, NULL) || api->scope_end(graph)) return 1;
    if (api->wait(graph)) return 1;
    return expect("the sum", *x, 11);
}

/* n tasks, each with a name of its own. */
int32_t many_names(uint64_t n) {
    pto2_tensor_handle x, y;
    if (!external(&x, 1) || !external(&y, 1)) return 1;
    for (uint64_t i = 0; i < n; i++) {
        char name[100];
        snprintf(name, sizeof name, "%llu", (unsigned long long)i);
        if (add(name, sizeof(pto2_submission), &x, &y)) return 1;
    }
    return api->wait(graph);
}
