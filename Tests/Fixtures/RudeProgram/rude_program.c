/* A program that takes liberties: the first argument says which. `run KERNEL...` submits
 * kernels of RudeKernels one after another on one tensor and prints its elements. */
#include "program.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

const char *const *pto2_program_images(void) {
    static const char *const images[] = {"RudeKernels", NULL};
    return images;
}

static pto2_tensor_handle tensor;
static volatile uint32_t *elements;

static int32_t submit(const char *kernel, pto2_recovery recovery) {
    const pto2_argument argument = pto2_use(PTO2_INOUT, &tensor);
    const pto2_submission submission = {.bytes = sizeof submission,
                                        .recovery = recovery,
                                        .kernel_names = {kernel},
                                        .arguments = &argument,
                                        .argument_count = 1};
    return api->submit(graph, &submission, NULL);
}

static int32_t count(int n) {
    for (int i = 0; i < n; i++)
        if (submit("count", PTO2_RECOVERY_SNAPSHOT)) return 1;
    return 0;
}

/* As many increments as were submitted, each once. */
static int32_t finish(uint32_t n) {
    if (api->wait(graph)) return 1;
    return expect("the count", elements[0], n);
}

static int32_t run(int argc, const char *const *argv) {
    pto2_recovery recovery = PTO2_RECOVERY_AUTOMATIC;
    for (int i = 0; i < argc; i++) {
        if (!strcmp(argv[i], "again")) {
            recovery = PTO2_RECOVERY_AGAIN;
        } else if (!strcmp(argv[i], "wait")) {
            if (api->wait(graph)) return 1;
        } else if (submit(argv[i], recovery)) {
            return 1;
        }
    }
    if (api->wait(graph)) return 1;
    printf("elements %u %u %u %x %x %x %u %u\n", elements[0], elements[1], elements[2],
            elements[3], elements[4], elements[5], elements[6], elements[7]);
    return 0;
}

static void close_from(int first) {
    for (int fd = first; fd < 256; fd++) close(fd);
}

static int32_t fork_on(void) {
    if (count(100)) return 1;
    const pid_t child = fork();
    if (child == 0) { /* the child goes on as if it were the program */
        const int failed = count(100) != 0 && api->wait(graph) != 0;
        fprintf(stderr, "child: %s\n", failed ? api->error_message(graph) : "its calls worked");
        return 0;
    }
    int status = 0;
    waitpid(child, &status, 0);
    fprintf(stderr, "child ended with %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
    return finish(100);
}

/* A child that lives on, has nothing of the session, and reads what it saw before. */
static int32_t fork_read(void) {
    if (count(10) || api->wait(graph)) return 1;
    const pid_t child = fork();
    if (child == 0) {
        const uint32_t seen = elements[0];
        elements[0] = 77; /* its own copy */
        _exit(seen == 10 && elements[0] == 77 ? 0 : 9);
    }
    int status = 0;
    waitpid(child, &status, 0);
    if (expect("what the child saw", WEXITSTATUS(status), 0)) return 1;
    return finish(10);
}

static void *leave(void *context) {
    (void)context;
    exit(0);
}

/* Every child of the process, whoever has started it. */
static void *collect(void *context) {
    for (;;)
        if (waitpid(-1, NULL, 0) < 0) usleep(100);
    return context;
}

static int32_t linger(unsigned seconds) {
    if (count(10)) return 1;
    printf("running\n");
    fflush(stdout);
    for (unsigned i = 0; i < seconds * 10; i++) usleep(100000);
    return finish(10);
}

static int32_t take_files(void) {
    struct rlimit limit = {64, 64};
    setrlimit(RLIMIT_NOFILE, &limit);
    while (open("/dev/null", O_RDONLY) >= 0) {}
    if (count(2000)) return 1;
    return finish(2000);
}

/* FILE BYTES: the file is made so small, or, with -1, is written over. */
static int spoil(const char *path, long bytes) {
    if (bytes >= 0) return truncate(path, bytes);
    const int fd = open(path, O_WRONLY);
    const off_t end = lseek(fd, 0, SEEK_END);
    char junk[4096];
    memset(junk, 0xFF, sizeof junk);
    for (off_t at = 0; at < end; at += sizeof junk) {
        const size_t left = (size_t)(end - at);
        if (pwrite(fd, junk, left < sizeof junk ? left : sizeof junk, at) < 0) return -1;
    }
    return close(fd);
}

static int32_t scene(const char *name, int argc, const char *const *argv) {
#define IS(text) if (!strcmp(name, text))
    IS("run") return run(argc - 2, argv + 2);
    IS("count") return count(200) || finish(200);
    IS("exit") {
        if (count(argc > 3 ? 2000 : 0)) return 1;
        exit(atoi(argv[2]));
    }
    IS("quick-exit") {
        if (count(2000)) return 1;
        quick_exit(0);
    }
    IS("thread-exit") {
        pthread_t thread;
        if (count(2000) || pthread_create(&thread, NULL, leave, NULL)) return 1;
        for (;;) pause();
    }
    IS("end-thread") {
        if (count(100)) return 1;
        pthread_exit(NULL);
    }
    IS("close-all") {
        close_from(3);
        return count(5000) || finish(5000);
    }
    IS("close-late") {
        if (count(100) || api->wait(graph)) return 1;
        close_from(3);
        return 0;
    }
    IS("dup-over") {
        for (int fd = 3; fd < 64; fd++) dup2(2, fd);
        return count(5000) || finish(5000);
    }
    IS("raise") {
        if (count(10)) return 1;
        raise(atoi(argv[2]));
        return linger(600);
    }
    IS("ignore-children") {
        signal(SIGCHLD, SIG_IGN);
        return count(100) || finish(100);
    }
    IS("reap-children") {
        pthread_t thread;
        if (pthread_create(&thread, NULL, collect, NULL)) return 1;
        return submit("exit_45", PTO2_RECOVERY_AGAIN) || api->wait(graph);
    }
    IS("fork-on") return fork_on();
    IS("fork-read") return fork_read();
    IS("fork-exit") {
        if (count(100)) return 1;
        const pid_t child = fork();
        if (child == 0) exit(0);
        waitpid(child, NULL, 0);
        return finish(100);
    }
    IS("fork-leave") { /* a child that outlives the run */
        if (count(100)) return 1;
        if (fork() == 0) {
            close_from(0);
            sleep(2);
            _exit(0);
        }
        return finish(100);
    }
    IS("print") {
        for (int i = 0; i < 1000; i++) printf("line %d of the program\n", i);
        return count(10) || finish(10);
    }
    IS("linger") return linger((unsigned)atoi(argv[2]));
    IS("spoil") { /* before other tasks */
        if (count(10) || finish(10) || spoil(argv[2], atol(argv[3]))) return 1;
        return count(200) || finish(210);
    }
    IS("spoil-late") {
        if (count(10) || finish(10)) return 1;
        if (spoil(argv[2], atol(argv[3]))) return 1;
        return argc > 4 ? api->fail(graph, "as the test asked") : 0;
    }
    IS("take-files") return take_files();
    IS("denormal") {
        volatile float tiny = 1e-40f, one = 1;
        return expect("denormals that were kept", tiny * one != 0, 1);
    }
    return api->fail(graph, "no such scene");
}

/* ENDS_EARLY=1: a constructor that ends the process. */
__attribute__((constructor)) static void end_early(void) {
    if (getenv("ENDS_EARLY")) exit(0);
}

/* FLUSHES=1: a constructor as libraries built with -ffast-math have it. */
__attribute__((constructor)) static void flush_denormals(void) {
#if defined(__x86_64__)
    if (getenv("FLUSHES")) __builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() | 0x8040);
#endif
}

/* TRAPS_LATE=1: a destructor that traps. */
__attribute__((destructor)) static void trap_late(void) {
    if (getenv("TRAPS_LATE")) __builtin_trap();
}

static void *sleeper(void *context) {
    for (;;) pause();
    return context;
}

/* HAS_THREAD=1: a thread with the signal mask of whoever loads this. */
__attribute__((constructor)) static void start_thread(void) {
    pthread_t thread;
    if (getenv("HAS_THREAD")) pthread_create(&thread, NULL, sleeper, NULL);
}

int32_t pto2_program_main(const pto2_program_api *table, pto2_graph *of, int32_t argc,
                          const char *const *argv) {
    const uint32_t n = 1024;
    api = table;
    graph = of;
    if (api->external_tensor(graph, PTO2_UINT32, 1, &n, &tensor)) return 1;
    elements = api->data(graph, &tensor);
    return scene(argc > 1 ? argv[1] : "count", argc, argv);
}
