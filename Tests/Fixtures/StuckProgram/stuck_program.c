/* Programs that come to a stop, each for a reason of its own: what `pto2 stuck` is asked
 * about (StuckTests.swift). Arguments: which, and a command for those that have a use for
 * one. The others do not end by themselves within a minute. */
#include "program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MINUTE = 60 * 1000 };

const char *const *pto2_program_images(void) {
    static const char *const images[] = {"TestKernels", NULL};
    return images;
}

static int32_t submit(const char *aic, const char *aiv, const pto2_argument *arguments,
                      uint32_t count, uint64_t scalar, pto2_task *task) {
    pto2_submission submission = {.bytes = sizeof submission,
                                  .kernel_names = {aic, aiv, NULL},
                                  .arguments = arguments,
                                  .argument_count = count,
                                  .scalars = &scalar,
                                  .scalar_count = 1};
    return api->submit(graph, &submission, task);
}

static int32_t sleeper(pto2_task *task) { return submit(NULL, "c_sleep", NULL, 0, MINUTE, task); }

/* An output of so many int64. */
static int32_t put_out(uint32_t count, pto2_tensor_handle *out) {
    pto2_argument arguments[] = {pto2_output(PTO2_INT64, 1, &count, out)};
    return submit(NULL, "c_fill", arguments, 1, 0, NULL);
}

/* An output of 512 bytes. */
static int32_t fill(pto2_tensor_handle *out) { return put_out(64, out); }

/* A kernel sleeps with an output of which others need the memory. */
static int32_t heap(void) {
    for (int i = 0;; i++) {
        pto2_tensor_handle out;
        if (pto2_scope_begin_named(api, graph, "layer") || fill(&out)) return 1;
        pto2_argument use[] = {pto2_use(PTO2_INPUT, &out)};
        if (i == 0 && submit(NULL, "c_sleep", use, 1, MINUTE, NULL)) return 1;
        if (api->scope_end(graph)) return 1;
    }
}

/* What the second argument says is done while the program is held up for good: a deadlock
 * is an error at once, after which there are three seconds to look at it. */
static const char *command;

/* One tensor was forgotten in the outermost scope, and the heap has room for two. */
static int32_t forgotten(void) {
    pto2_tensor_handle out;
    while (!fill(&out) && !api->wait(graph)) {}
    return system(command) ? 2 : 1;
}

/* A scope that is never ended, around a loop whose tasks put something out. */
static int32_t scope(void) {
    pto2_tensor_handle out;
    if (pto2_scope_begin_named(api, graph, "loop")) return 1;
    while (!put_out(8, &out) && !api->wait(graph)) {}
    return system(command) ? 2 : 1;
}

/* Tasks behind one whose kernel sleeps, more than the window has. */
static int32_t window(void) {
    pto2_tensor_handle x;
    if (!external(&x, 1)) return 1;
    pto2_argument use[] = {pto2_use(PTO2_INOUT, &x)};
    if (submit(NULL, "c_sleep", use, 1, MINUTE, NULL)) return 1;
    for (;;)
        if (submit(NULL, "c_step", use, 1, 0, NULL)) return 1;
}

/* The same with an AIC task behind the sleeper, and the program waits. */
static int32_t chain(void) {
    pto2_tensor_handle x;
    if (!external(&x, 1)) return 1;
    pto2_argument use[] = {pto2_use(PTO2_INOUT, &x)};
    return submit(NULL, "c_sleep", use, 1, MINUTE, NULL) ||
           submit("c_step_aic", NULL, use, 1, 0, NULL) || api->wait(graph);
}

/* Entries of the dependency pool that a sleeper keeps. */
static int32_t pool(void) {
    pto2_task producers[4];
    for (int i = 0; i < 4; i++)
        if (sleeper(&producers[i])) return 1;
    pto2_dependency after[4];
    for (int i = 0; i < 4; i++) after[i] = pto2_after(producers[i]);
    pto2_submission submission = {.bytes = sizeof submission,
                                  .kernel_names = {NULL, "t_empty", NULL},
                                  .dependencies = after,
                                  .dependency_count = 4};
    for (;;)
        if (api->submit(graph, &submission, NULL)) return 1;
}

/* Payloads of 2 KiB each in a ring of 4 KiB. */
static int32_t payload(void) {
    static pto2_tensor_handle x[32];
    static pto2_argument use[32];
    for (int i = 0; i < 32; i++) {
        if (!external(&x[i], 1)) return 1;
        use[i] = pto2_use(PTO2_INOUT, &x[i]);
    }
    for (;;)
        if (submit(NULL, "c_sleep", use, 32, MINUTE, NULL)) return 1;
}

/* A kernel that spins. */
static int32_t spins(void) {
    pto2_tensor_handle x[3];
    pto2_argument use[3];
    for (int i = 0; i < 3; i++) {
        if (!external(&x[i], 1)) return 1;
        use[i] = pto2_use(i < 2 ? PTO2_INPUT : PTO2_INOUT, &x[i]);
    }
    return submit(NULL, "c_mix", use, 3, (uint64_t)MINUTE * 1000 << 32, NULL) || api->wait(graph);
}

/* Waits for what a task would have stored, whose predicate was false. */
static int32_t predicate(void) {
    pto2_tensor_handle flag, x;
    volatile int64_t *result = external(&x, 1);
    if (!result || !external(&flag, 1)) return 1;
    uint32_t first = 0;
    uint64_t one = 1;
    pto2_predicate holds = {.bytes = sizeof holds, .comparison = PTO2_EQ, .tensor = &flag,
                            .index = &first, .integer = 7};
    pto2_argument use[] = {pto2_use(PTO2_INOUT, &x)};
    pto2_submission submission = {.bytes = sizeof submission,
                                  .kernel_names = {NULL, "c_step", NULL},
                                  .arguments = use, .argument_count = 1,
                                  .scalars = &one, .scalar_count = 1,
                                  .predicate = &holds};
    if (api->submit(graph, &submission, NULL) || api->wait(graph)) return 1;
    while (!*result) usleep(1000);
    return 0;
}

/* A predicate that hangs on a kernel that sleeps. */
static int32_t later(void) {
    pto2_tensor_handle flag, x;
    if (!external(&flag, 1) || !external(&x, 1)) return 1;
    pto2_argument sleeps[] = {pto2_use(PTO2_INOUT, &flag)};
    if (submit(NULL, "c_sleep", sleeps, 1, MINUTE, NULL)) return 1;
    uint32_t first = 0;
    uint64_t one = 1;
    pto2_predicate holds = {.bytes = sizeof holds, .comparison = PTO2_GT, .tensor = &flag,
                            .index = &first, .integer = 0};
    pto2_argument use[] = {pto2_use(PTO2_INOUT, &x)};
    pto2_submission submission = {.bytes = sizeof submission,
                                  .kernel_names = {NULL, "c_step", NULL},
                                  .arguments = use, .argument_count = 1,
                                  .scalars = &one, .scalar_count = 1,
                                  .predicate = &holds};
    return api->submit(graph, &submission, NULL) || api->wait(graph);
}

/* One task, and the program waits for it. */
static int32_t one(void) {
    return submit(NULL, "c_sleep", NULL, 0, MINUTE, NULL) || api->wait(graph);
}

/* An element that is not stored within the limit. */
static int32_t late(void) {
    pto2_tensor_handle x;
    if (!external(&x, 1)) return 1;
    pto2_argument use[] = {pto2_use(PTO2_INOUT, &x)};
    uint32_t first = 0;
    int64_t value;
    return submit(NULL, "c_sleep", use, 1, MINUTE, NULL) ||
           api->get(graph, &x, &first, 200 * 1000 * 1000, &value);
}

/* Every task is done, and the program sleeps. */
static int32_t idle(void) {
    pto2_tensor_handle out;
    if (fill(&out) || api->wait(graph)) return 1;
    printf("idle\n");
    fflush(stdout);
    sleep(MINUTE / 1000);
    return 0;
}

/* Ends with the command: well, or not. */
static int32_t brief(void) {
    if (submit(NULL, "t_empty", NULL, 0, 0, NULL) || api->wait(graph)) return 1;
    printf("idle\n");
    fflush(stdout);
    return system(command) != 0;
}

static int32_t fails(void) { return brief() ? 1 : api->fail(graph, "as the test asked"); }

/* An output of 32 KiB. */
static int32_t big(void) {
    pto2_tensor_handle out;
    return put_out(4096, &out) || api->wait(graph);
}

/* Scopes inside one another, with three outputs each. */
static int32_t flow(void) {
    pto2_tensor_handle out;
    for (int depth = 0; depth < 8; depth++) {
        if (api->scope_begin(graph)) return 1;
        for (int k = 0; k < 3; k++)
            if (put_out(8, &out)) return 1;
    }
    return api->wait(graph);
}

/* A task with more producers than the dependency pool has entries. */
static int32_t many(void) {
    enum { PRODUCERS = 64 };
    pto2_dependency after[PRODUCERS];
    for (int i = 0; i < PRODUCERS; i++) {
        pto2_task producer;
        if (submit(NULL, "t_empty", NULL, 0, 0, &producer)) return 1;
        after[i] = pto2_after(producer);
    }
    pto2_submission submission = {.bytes = sizeof submission,
                                  .kernel_names = {NULL, "t_empty", NULL},
                                  .dependencies = after,
                                  .dependency_count = PRODUCERS};
    return api->submit(graph, &submission, NULL) || api->wait(graph);
}

/* Outputs of 1 MiB until there is no memory. */
static int32_t full(void) {
    pto2_tensor_handle out;
    for (int i = 0; i < 200; i++)
        if (put_out(1 << 17, &out)) return 1;
    return api->wait(graph);
}

/* Tasks without an end. */
static int32_t busy(void) {
    pto2_tensor_handle x;
    if (!external(&x, 1)) return 1;
    pto2_argument use[] = {pto2_use(PTO2_INOUT, &x)};
    for (;;) {
        if (api->scope_begin(graph)) return 1;
        for (int i = 0; i < 100; i++)
            if (submit(NULL, "c_step", use, 1, 0, NULL)) return 1;
        if (api->scope_end(graph)) return 1;
        usleep(1000);
    }
}

/* Under their names; `then` is for a scene to end with, after the command: its name is the
 * third argument. */
static int32_t run(const char *name, const char *next) {
    static const struct {
        const char *name;
        int32_t (*run)(void);
    } scenes[] = {{"heap", heap},       {"forgotten", forgotten}, {"scope", scope},
                  {"window", window},   {"chain", chain},         {"pool", pool},
                  {"payload", payload}, {"spins", spins},         {"predicate", predicate},
                  {"later", later},     {"one", one},             {"idle", idle},
                  {"brief", brief},     {"fails", fails},         {"busy", busy},
                  {"big", big},         {"flow", flow},           {"many", many},
                  {"full", full},       {"late", late}};
    if (!strcmp(name, "then")) {
        if (brief()) return 1;
        command = "true";
        name = next;
    }
    for (size_t k = 0; k < sizeof scenes / sizeof *scenes; k++)
        if (!strcmp(name, scenes[k].name)) return scenes[k].run();
    return api->fail(graph, "no such scene");
}

int32_t pto2_program_main(const pto2_program_api *program_api, pto2_graph *program_graph,
                          int32_t argc, const char *const *argv) {
    start(program_api, program_graph);
    command = argc > 2 ? argv[2] : "true";
    return run(argc > 1 ? argv[1] : "", argc > 3 ? argv[3] : "");
}
