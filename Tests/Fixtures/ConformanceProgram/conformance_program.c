/* The conformance suite's triggers of error codes, and what its scenes use.
 * Arguments: NAME [n]; docs/testing.md has the table. */
#include "conformance_program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *const *pto2_program_images(void) {
    static const char *const images[] = {"TestKernels", NULL};
    return images;
}

int32_t submit(const char *aic, const char *aiv0, const char *aiv1,
               const pto2_argument *arguments, uint32_t count, uint64_t scalar, pto2_task *task) {
    pto2_submission submission = {.bytes = sizeof submission,
                                  .kernel_names = {aic, aiv0, aiv1},
                                  .arguments = arguments,
                                  .argument_count = count,
                                  .scalars = &scalar,
                                  .scalar_count = 1};
    return api->submit(graph, &submission, task);
}

int32_t submit_after(const char *aiv, const pto2_argument *arguments, uint32_t count,
                     uint64_t scalar, const pto2_task *producers, uint32_t producer_count,
                     pto2_task *task) {
    pto2_dependency *dependencies = calloc(producer_count + 1, sizeof *dependencies);
    if (!dependencies) return api->fail(graph, "out of memory");
    for (uint32_t k = 0; k < producer_count; k++) dependencies[k] = pto2_after(producers[k]);
    pto2_submission submission = {.bytes = sizeof submission,
                                  .kernel_names = {NULL, aiv, NULL},
                                  .arguments = arguments,
                                  .argument_count = count,
                                  .scalars = &scalar,
                                  .scalar_count = 1,
                                  .dependencies = dependencies,
                                  .dependency_count = producer_count};
    int32_t status = api->submit(graph, &submission, task);
    free(dependencies);
    return status;
}

pto2_argument output(uint32_t count, pto2_tensor_handle *tensor) {
    return pto2_output(PTO2_INT64, 1, &count, tensor);
}

int32_t element(pto2_tensor_handle *tensor, uint32_t index, pto2_tensor_handle *view) {
    uint32_t one = 1;
    return api->slice(graph, tensor, &index, &one, view);
}

/* n tasks in one scope. */
static int32_t tasks(uint64_t n) {
    for (uint64_t i = 0; i < n; i++)
        if (submit(NULL, "t_empty", NULL, NULL, 0, 0, NULL)) return 1;
    return api->wait(graph);
}

/* n tasks in one scope, each with an output. */
static int32_t outputs(uint64_t n) {
    for (uint64_t i = 0; i < n; i++) {
        pto2_tensor_handle out;
        pto2_argument arguments[] = {output(1, &out)};
        if (submit(NULL, "t_empty", NULL, arguments, 1, 0, NULL)) return 1;
    }
    return api->wait(graph);
}

/* A task that waits for n producers, which sleep. */
static int32_t fanin(uint64_t n) {
    pto2_task *producers = calloc(n, sizeof *producers);
    int32_t status = producers ? 0 : 1;
    for (uint64_t i = 0; i < n && !status; i++)
        status = submit(NULL, "c_sleep", NULL, NULL, 0, 4, &producers[i]);
    if (!status) status = submit_after("t_empty", NULL, 0, 0, producers, (uint32_t)n, NULL);
    free(producers);
    return status || api->wait(graph);
}

/* A task with n tensors. */
static int32_t tensors(uint64_t n) {
    static pto2_tensor_handle x[64];
    static pto2_argument arguments[64];
    for (uint64_t i = 0; i < n; i++) {
        if (!external(&x[i], 1)) return 1;
        arguments[i] = pto2_use(PTO2_INPUT, &x[i]);
    }
    return submit(NULL, "t_empty", NULL, arguments, (uint32_t)n, 0, NULL) || api->wait(graph);
}

/* A kernel of n milliseconds, with more tasks behind it than any window. */
static int32_t slow(uint64_t n) {
    pto2_tensor_handle x;
    int64_t *value = external(&x, 1);
    if (!value) return 1;
    pto2_argument arguments[] = {pto2_use(PTO2_INOUT, &x)};
    if (submit(NULL, "c_sleep", NULL, arguments, 1, n, NULL)) return 1;
    for (int i = 0; i < 100; i++) {
        if (api->scope_begin(graph)) return 1;
        pto2_tensor_handle out;
        pto2_argument both[] = {pto2_use(PTO2_INOUT, &x), output(64, &out)};
        if (submit(NULL, "c_step", NULL, both, 2, 0, NULL) || api->scope_end(graph)) return 1;
    }
    if (api->wait(graph)) return 1;
    return expect("the value", *value, 0);
}

/* A program that does nothing for n milliseconds after a task. */
static int32_t idle(uint64_t n) {
    if (submit(NULL, "t_empty", NULL, NULL, 0, 0, NULL) || api->wait(graph)) return 1;
    usleep((useconds_t)n * 1000);
    return api->wait(graph);
}

int32_t pto2_program_main(const pto2_program_api *program_api, pto2_graph *program_graph,
                          int32_t argc, const char *const *argv) {
    static const struct {
        const char *name;
        int32_t (*run)(uint64_t);
    } triggers[] = {{"tasks", tasks},     {"outputs", outputs}, {"in-place", in_place},
                    {"spread", spread},
                    {"freed", freed},     {"kept", kept},     {"empty", empty},
                    {"machine", machine},
                    {"bit-cast", bit_cast}, {"creator", creator}, {"own-code", own_code},
                    {"refused-view", refused_view}, {"refused-and-used", refused_and_used},
                    {"refused-and-left", refused_and_left}, {"logs", logs},
                    {"fanin", fanin},     {"tensors", tensors}, {"slow", slow},
                    {"idle", idle}};
    start(program_api, program_graph);
    if (argc < 2) return api->fail(graph, "which case?");
    uint64_t n = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    for (size_t k = 0; k < sizeof triggers / sizeof *triggers; k++)
        if (!strcmp(argv[1], triggers[k].name)) return triggers[k].run(n);
    return run_scene(argv[1], n);
}
