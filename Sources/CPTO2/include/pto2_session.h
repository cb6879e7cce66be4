/* A program with its own main(), in any language: libpto2.so.
 *
 *     cc main.c $(pkg-config --cflags --libs pto2)
 *
 * A session is the processes (this one, a scheduler, a worker for each core) and the
 * shared memory between them. It is opened once and runs many graphs, one after another:
 *
 *     static int32_t build(const pto2_program_api *api, pto2_graph *graph, void *context) {
 *         ... api->submit(graph, ...) ...
 *         return 0;
 *     }
 *
 *     const char *images[] = {"./libadd.so"};
 *     pto2_session_options options = {
 *         .bytes = sizeof options, .images = images, .image_count = 1};
 *     pto2_error_info error = {.bytes = sizeof error};
 *     pto2_session *session;
 *     if (pto2_session_open(&options, &session, &error)) {
 *         fprintf(stderr, "%s\n", error.message);
 *         return 1;
 *     }
 *     if (pto2_session_run(session, build, NULL, NULL)) {
 *         pto2_session_error(session, &error);
 *         fprintf(stderr, "%s\n", error.message);
 *     }
 *     pto2_session_close(session);
 *
 * An error in one run does not spoil the next.
 *
 * The library prints nothing but what the program logs, ends no process but those it
 * started, and installs no signal handler unless asked. It starts threads of its own,
 * which have all signals blocked. A program that ignores SIGCHLD, or waits for any child
 * (wait(), waitpid(-1)), takes away what the library must know of its processes: wait for
 * your own by their ids.
 *
 * Threads: one call at a time on one session, from any thread; calls on different
 * sessions do not touch each other. The callback runs on the thread of
 * pto2_session_run, and its graph belongs to that thread until it returns. After fork()
 * a child may use neither.
 */
#ifndef PTO2_SESSION_H
#define PTO2_SESSION_H

#include "pto2_program.h"

PTO2_BEGIN_C

/* The version of the calls in this header: that of libpto2.so.1's name. */
#define PTO2_SESSION_MAJOR 1

typedef struct pto2_session pto2_session;

/* The sizes of one ring; 0 is the default. */
typedef struct pto2_ring_options {
    uint32_t bytes;           /* sizeof(pto2_ring_options) */
    uint32_t task_window;     /* unfinished tasks; a power of two */
    uint32_t consumed_window; /* tasks not CONSUMED; a power of two */
    uint32_t dependency_pool; /* edges */
    uint64_t heap_bytes;      /* outputs of open scopes */
} pto2_ring_options;

#define PTO2_RING_OPTIONS_FIELDS(F, T)                                              \
    F(T, bytes, 0) F(T, task_window, 4) F(T, consumed_window, 8)                    \
    F(T, dependency_pool, 12) F(T, heap_bytes, 16)
PTO2_ASSERT_LAYOUT(pto2_ring_options, PTO2_RING_OPTIONS_FIELDS, 24);

/* Flags of pto2_session_options. */
/* SIGINT, SIGTERM, SIGHUP and SIGQUIT end the run with error 209, unless they are ignored,
 * and so do others that would end the process, unless somebody handles or ignores them;
 * whichever thread gets them. A second one ends the process. */
#define PTO2_OPEN_SIGNALS 0x1u
#define PTO2_OPEN_DRAIN 0x2u   /* when this process dies, what it submitted is still done */
#define PTO2_OPEN_MEMFD 0x4u   /* shared memory without a name in /dev/shm */
#define PTO2_OPEN_NO_LAUNCH 0x8u /* somebody else starts scheduler and workers */
/* Workers give up what a kernel could harm the session with; needs Landlock, and error 5 says
 * so where it is not; not with PTO2_OPEN_MEMFD. */
#define PTO2_OPEN_CONFINE 0x10u
#define PTO2_OPEN_TRACE_EDGES 0x20u /* the trace has every dependency, too */

/* Everything but `bytes` may be 0: then it is the default. docs/operations.md has the
 * meaning, the defaults and the limits of each. */
typedef struct pto2_session_options {
    uint32_t bytes; /* sizeof(pto2_session_options) */
    uint32_t flags; /* PTO2_OPEN_... */
    const char *segment;          /* name of the shared memory; NULL = a fresh one */
    const char *executables;      /* folder of pto2-scheduler and pto2-worker */
    const char *const *images;    /* kernel images: paths, or names that are looked up */
    uint32_t image_count;         /* at most PTO2_MAX_IMAGES */
    uint32_t clusters;            /* of one AIC and two AIV cores; 0 = 1 */
    uint32_t lanes;
    uint32_t scheduler_threads;
    const pto2_ring_options *rings; /* NULL = defaults for each of ring_count */
    uint32_t ring_count;            /* 0 = 4; at most PTO2_MAX_RINGS */
    uint32_t tensor_map_entries;
    uint64_t arena_bytes;                 /* for external tensors */
    uint64_t attach_timeout_nanoseconds;  /* for scheduler and workers to be there */
    uint64_t stall_limit_nanoseconds;     /* without progress; 0 = for ever */
    uint64_t kernel_deadline_nanoseconds; /* for one kernel; 0 = for ever */
    uint64_t stop_grace_nanoseconds;      /* a stopped process has; 0 = 5 s, or PTO2_FOREVER */
    const char *pin; /* where workers run: "auto", "none", or CPUs as in "0,2-5"; NULL = auto */
    const void *constants; /* what every kernel sees in pto2_kernel_args; copied */
    uint64_t constant_bytes; /* at most 64 MiB */
    const char *trace; /* a file for what becomes of each task, written when the session is */
                       /* closed: `pto2 trace` and docs/tools.md; NULL = none */
    uint64_t trace_buffer_bytes; /* of each buffer, a multiple of 64 KiB; 0 = 4 MiB */
} pto2_session_options;

#define PTO2_SESSION_OPTIONS_FIELDS(F, T)                                               \
    F(T, bytes, 0) F(T, flags, 4) F(T, segment, 8) F(T, executables, 16)                \
    F(T, images, 24) F(T, image_count, 32) F(T, clusters, 36) F(T, lanes, 40)           \
    F(T, scheduler_threads, 44) F(T, rings, 48) F(T, ring_count, 56)                    \
    F(T, tensor_map_entries, 60) F(T, arena_bytes, 64)                                  \
    F(T, attach_timeout_nanoseconds, 72) F(T, stall_limit_nanoseconds, 80)              \
    F(T, kernel_deadline_nanoseconds, 88) F(T, stop_grace_nanoseconds, 96) F(T, pin, 104) \
    F(T, constants, 112) F(T, constant_bytes, 120) F(T, trace, 128)                     \
    F(T, trace_buffer_bytes, 136)
PTO2_ASSERT_LAYOUT(pto2_session_options, PTO2_SESSION_OPTIONS_FIELDS, 144);

/* What a run did. The caller sets `bytes`; the rest is filled in, for a run that failed
 * as far as it came. */
typedef struct pto2_report {
    uint32_t bytes; /* sizeof(pto2_report) */
    uint32_t worker_restarts;
    uint32_t scheduler_restarts;
    uint32_t reserved;
    uint64_t nanoseconds;        /* from the call to its return */
    uint64_t graph_nanoseconds;  /* in which submitted tasks were unfinished */
    uint64_t tasks;
    uint64_t edges;
    uint64_t kernels;            /* kernels that have returned */
    uint64_t kernel_nanoseconds; /* and the time in them over all cores */
    uint64_t waits;              /* how often a full ring held the program up, */
    uint64_t wait_nanoseconds;   /* and for how long */
} pto2_report;

#define PTO2_REPORT_FIELDS(F, T)                                                        \
    F(T, bytes, 0) F(T, worker_restarts, 4) F(T, scheduler_restarts, 8)                 \
    F(T, reserved, 12) F(T, nanoseconds, 16) F(T, graph_nanoseconds, 24) F(T, tasks, 32) \
    F(T, edges, 40) F(T, kernels, 48) F(T, kernel_nanoseconds, 56) F(T, waits, 64)      \
    F(T, wait_nanoseconds, 72)
PTO2_ASSERT_LAYOUT(pto2_report, PTO2_REPORT_FIELDS, 80);

/* Builds one graph. Returns 0, or anything else to fail the run. The library waits for
 * all tasks after it. */
typedef int32_t (*pto2_run_function)(const pto2_program_api *api, pto2_graph *graph,
                                     void *context);

/* Creates the shared memory and starts the processes. On failure *session is NULL and
 * *error, unless NULL, says why. */
PTO2_EXPORT pto2_error pto2_session_open(const pto2_session_options *options,
                                         pto2_session **session, pto2_error_info *error);

/* Runs one graph and waits until every task is done. Returns 0 or the code of the run's
 * first error. *report may be NULL. */
PTO2_EXPORT pto2_error pto2_session_run(pto2_session *session, pto2_run_function build,
                                        void *context, pto2_report *report);

/* The error of the last run; its code is 0 when it succeeded. */
PTO2_EXPORT pto2_error pto2_session_error(const pto2_session *session, pto2_error_info *error);

/* From the next run on, pto2_session_run and the calls of its graph ask this function every
 * 20 to 70 ms while they wait, on their own thread: anything but 0 ends the run with error
 * 209. It may use nothing of the session. NULL, as at first: nobody is asked. Interpreters
 * see to their signals in it. */
typedef int32_t (*pto2_wait_function)(void *context);
PTO2_EXPORT pto2_error pto2_session_on_wait(pto2_session *session, pto2_wait_function ask,
                                            void *context);

/* Ends the processes and removes the shared memory. NULL is nothing to do. */
PTO2_EXPORT void pto2_session_close(pto2_session *session);

PTO2_END_C

#endif
