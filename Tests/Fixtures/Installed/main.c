/* A program with its own main(): one session, graphs one after another, some of which
 * fail. InstallTests compiles it against an installed libpto2.so.
 *
 *     main IMAGE
 *
 * Prints a line for each run; exits with 0 when each ended as it should. */
#define _POSIX_C_SOURCE 200809L
#include "pto2_session.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { COUNT = 4096, TILE = 512 };

typedef enum { GOOD, TOO_MANY_SCALARS, CRASH, GIVE_UP, OWN_STATUS } ending;

typedef struct {
    ending ending;
    float alpha;
    pto2_kernel saxpy; /* of the session: found in the first run, used in all */
    int asked;         /* how often, in the run that gives up */
    float wrong;       /* an element that is not what it should be, or 0 */
} work;

/* y = 1 + alpha * x over tiles, in one call; then what this run is to end with. */
static int32_t build(const pto2_program_api *api, pto2_graph *graph, void *context) {
    work *w = context;
    pto2_machine machine = {.bytes = sizeof machine};
    if (api->machine(graph, &machine)) return 1;
    if (machine.clusters != 2 || machine.cores != 6) return api->fail(graph, "not two clusters");
    if (w->saxpy.opaque == 0 && api->kernel(graph, "saxpy", &w->saxpy)) return 1;

    const uint32_t count = COUNT;
    pto2_tensor_handle x, y, parts[2 * (COUNT / TILE)];
    if (api->external_tensor(graph, PTO2_FLOAT32, 1, &count, &x) ||
        api->external_tensor(graph, PTO2_FLOAT32, 1, &count, &y))
        return 1;
    float *px = api->data(graph, &x), *py = api->data(graph, &y);
    for (uint32_t i = 0; i < count; i++) {
        if (px[i] != 0 || py[i] != 0) return api->fail(graph, "memory of another run");
        px[i] = (float)(i % 100);
        py[i] = 1;
    }

    const uint64_t alpha = pto2_float_bits(w->alpha);
    pto2_argument arguments[COUNT / TILE][2];
    pto2_submission tasks[COUNT / TILE];
    for (uint32_t k = 0; k < COUNT / TILE; k++) {
        const uint32_t at = k * TILE, length = TILE;
        if (api->slice(graph, &x, &at, &length, &parts[2 * k]) ||
            api->slice(graph, &y, &at, &length, &parts[2 * k + 1]))
            return 1;
        arguments[k][0] = pto2_use(PTO2_INPUT, &parts[2 * k]);
        arguments[k][1] = pto2_use(PTO2_INOUT, &parts[2 * k + 1]);
        tasks[k] = (pto2_submission){.bytes = sizeof tasks[k],
                                     .kernels = {{0}, w->saxpy, {0}},
                                     .arguments = arguments[k],
                                     .argument_count = 2,
                                     .scalars = &alpha,
                                     .scalar_count = 1};
    }
    if (w->ending == TOO_MANY_SCALARS) tasks[3].scalar_count = UINT32_MAX;
    uint32_t submitted;
    if (api->submit_many(graph, tasks, COUNT / TILE, NULL, &submitted)) {
        printf("  task %u was refused\n", submitted);
        return 1;
    }
    if (w->ending == CRASH) {
        const pto2_submission crash = {.bytes = sizeof crash,
                                       .kernel_names = {"crash", NULL, NULL},
                                       .recovery = PTO2_RECOVERY_ONCE};
        if (api->submit(graph, &crash, NULL)) return 1;
    }
    if (w->ending == GIVE_UP) {
        const pto2_submission endless = {.bytes = sizeof endless,
                                         .kernel_names = {"endless", NULL, NULL}};
        if (api->submit(graph, &endless, NULL)) return 1;
    }
    if (api->wait(graph)) return 1;
    for (uint32_t i = 0; i < count; i++)
        if (py[i] != 1 + w->alpha * px[i]) w->wrong = py[i];
    return w->ending == OWN_STATUS ? 3 : 0;
}

/* Asked while a call waits: has had enough the third time, in the run that is to. */
static int32_t has_had_enough(void *context) {
    work *w = context;
    if (w->ending == GIVE_UP) w->asked++;
    return w->asked >= 3;
}

/* Whatever a signal did before the session, it does after it. */
static void (*disposition(int number))(int) {
    struct sigaction action;
    return sigaction(number, NULL, &action) == 0 ? action.sa_handler : SIG_ERR;
}

static int open_descriptors(void) {
    DIR *folder = opendir("/proc/self/fd");
    int count = 0;
    while (readdir(folder)) count++;
    closedir(folder);
    return count;
}

int main(int argc, char **argv) {
    if (argc != 2) return 64;
    const int descriptors = open_descriptors();
    /* Who runs this, such as nohup, may have some ignored. */
    void (*before[32])(int);
    for (int number = 1; number < 32; number++) before[number] = disposition(number);
    const char *images[] = {argv[1]};
    pto2_session_options options = {
        .bytes = sizeof options, .images = images, .image_count = 1, .clusters = 2};
    pto2_error_info error = {.bytes = sizeof error};
    pto2_session *session;

    /* A session that cannot be opened. */
    const char *missing[] = {"/no/such/image.so"};
    pto2_session_options wrong = options;
    wrong.images = missing;
    pto2_error code = pto2_session_open(&wrong, &session, &error);
    printf("open: %d %s\n", code, error.message);
    if (code != PTO2_ERROR_IMAGE_REFUSED || session || error.code != code) return 1;

    wrong = options;
    wrong.pin = "0-x";
    code = pto2_session_open(&wrong, &session, &error);
    if (code != PTO2_ERROR_INVALID_ARGS || !strstr(error.message, "--pin=0-x")) return 2;
    /* A program that was built before there was a `pin`. */
    wrong.bytes = offsetof(pto2_session_options, pin);
    if (pto2_session_open(&wrong, &session, &error)) return 3;
    pto2_session_close(session);

    code = pto2_session_open(&options, &session, &error);
    if (code) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    static const struct {
        ending ending;
        pto2_error code;
    } runs[] = {{GOOD, PTO2_ERROR_NONE},
                {TOO_MANY_SCALARS, PTO2_ERROR_INVALID_ARGS},
                {GOOD, PTO2_ERROR_NONE},
                {CRASH, PTO2_ERROR_WORKER_DIED},
                {GOOD, PTO2_ERROR_NONE},
                {GIVE_UP, PTO2_ERROR_INTERRUPTED},
                {GOOD, PTO2_ERROR_NONE},
                {OWN_STATUS, PTO2_ERROR_EXPLICIT_ORCH_FATAL},
                {GOOD, PTO2_ERROR_NONE}};
    work w = {.alpha = 0};
    if (pto2_session_on_wait(session, has_had_enough, &w)) return 1;
    int failures = 0;
    for (size_t k = 0; k < sizeof runs / sizeof *runs; k++) {
        w.ending = runs[k].ending;
        w.alpha += 1;
        w.asked = 0;
        pto2_report report = {.bytes = sizeof report};
        code = pto2_session_run(session, build, &w, &report);
        if (pto2_session_error(session, &error)) return 1;
        printf("run %zu: %d %s\n", k, code, error.message);
        if (code != runs[k].code || error.code != code || w.wrong != 0) failures++;
        if (code != 0) continue;
        if (report.tasks != COUNT / TILE || report.kernels != COUNT / TILE) failures++;
        printf("  %llu tasks\n", (unsigned long long)report.tasks);
    }
    for (int number = 1; number < 32; number++)
        if (disposition(number) != before[number]) {
            printf("signal %d has another handler\n", number);
            failures++;
        }
    pto2_session_close(session);
    if (open_descriptors() != descriptors) {
        printf("%d descriptors of %d are open\n", open_descriptors(), descriptors);
        failures++;
    }
    printf("%d failures\n", failures);
    return failures != 0;
}
