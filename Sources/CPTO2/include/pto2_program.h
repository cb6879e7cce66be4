/* What a program includes: the calls that build a graph.
 *
 * A program is a shared object with an entry point. `pto2-orchestrator --program x.so`
 * loads it, creates the segment, starts the processes and calls
 *
 *     int32_t pto2_program_main(const pto2_program_api *api, pto2_graph *graph,
 *                               int32_t argc, const char *const *argv);
 *     const char *const *pto2_program_images(void);   // optional
 *
 * in the orchestrator's process. A program with its own main() opens a session instead
 * (pto2_session.h) and gets the same two pointers, `api` and `graph`.
 *
 * Every call is made from the thread that was given them, and before it returns. A call
 * returns 0, or the code of the error. The first error is the run's: from then on every
 * call returns its code, and the program should return. Whatever it returns other than
 * 0, without a failed call, fails the run too. Views alone may fail and be done without.
 *
 * Every struct that a program fills begins with its size:
 *
 *     pto2_submission task = {.bytes = sizeof task, .kernel_names = {NULL, "add", NULL}};
 *     pto2_submission task{}; task.bytes = sizeof task;    // C++17
 *
 * Members are only ever added at the end of a struct, 0 meaning what was before; so a
 * compiled program serves with every later runtime of the same PTO2_PROGRAM_MAJOR. A
 * size below the first version's, and a member that this runtime does not know and is
 * not 0, are error 5. Records of one array have one size, which is how far apart they
 * lie.
 */
#ifndef PTO2_PROGRAM_H
#define PTO2_PROGRAM_H

#include "pto2.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

PTO2_BEGIN_C

/* The version of what this header says, apart from those of the kernel table and of the
 * segment. The symbols that the runtime looks for carry it, so an object compiled for
 * another one is refused before it is called. */
#define PTO2_PROGRAM_MAJOR 2
#define PTO2_PROGRAM_MAIN_SYMBOL "pto2_program_main_v2"
#define PTO2_PROGRAM_IMAGES_SYMBOL "pto2_program_images_v2"

typedef struct pto2_graph pto2_graph;

/* ---- what the runtime gives out: opaque, copy it freely ------------------- */

/* A tensor or a view of one. */
typedef struct pto2_tensor_handle {
    uint64_t opaque[12];
} pto2_tensor_handle;

/* A kernel; {0} is none. Valid for every run of its session. */
typedef struct pto2_kernel {
    uint64_t opaque;
} pto2_kernel;

/* A submitted task. id = ring << 32 | local id. */
typedef struct pto2_task {
    uint64_t id;
} pto2_task;

/* Recorded tasks. Valid for every run of its session, until template_free. */
typedef struct pto2_template {
    uint64_t opaque;
} pto2_template;

/* ---- arguments and dependencies of a task -------------------------------- */

/* One argument of a task. For PTO2_OUTPUT and PTO2_OUTPUT_KEPT the runtime
 * allocates a tensor of the given dtype and shape and stores its handle to
 * *tensor; for the other access modes *tensor is read. pto2_use, pto2_output
 * and pto2_kept_output make one. */
typedef struct pto2_argument {
    uint32_t bytes; /* sizeof(pto2_argument) */
    pto2_access access;
    pto2_dtype dtype;              /* of new tensors only */
    uint32_t rank;                 /* of new tensors only */
    uint32_t shape[PTO2_MAX_RANK]; /* of new tensors only */
    uint32_t reserved;
    pto2_tensor_handle *tensor;
} pto2_argument;

#define PTO2_ARGUMENT_FIELDS(F, T)                                              \
    F(T, bytes, 0) F(T, access, 4) F(T, dtype, 8) F(T, rank, 12) F(T, shape, 16) \
    F(T, reserved, 36) F(T, tensor, 40)
PTO2_ASSERT_LAYOUT(pto2_argument, PTO2_ARGUMENT_FIELDS, 48);

/* An explicit dependency: the task starts only when `task` is done. With
 * `retain`, the outputs of `task`, whose scope must be open, stay alive until
 * this task is done; a task without outputs has nothing to retain. pto2_after and
 * pto2_retain make one. */
typedef struct pto2_dependency {
    uint32_t bytes; /* sizeof(pto2_dependency) */
    uint32_t retain;
    pto2_task task;
} pto2_dependency;

#define PTO2_DEPENDENCY_FIELDS(F, T) F(T, bytes, 0) F(T, retain, 4) F(T, task, 8)
PTO2_ASSERT_LAYOUT(pto2_dependency, PTO2_DEPENDENCY_FIELDS, 16);

/* Runs a task only if an element of a tensor compares to a value in this way
 * when the task is ready; otherwise its consumers go on without it. */
typedef struct pto2_predicate {
    uint32_t bytes; /* sizeof(pto2_predicate) */
    pto2_comparison comparison;
    const pto2_tensor_handle *tensor;
    const uint32_t *index; /* one per dimension of the tensor; NULL for rank 0 */
    int64_t integer;       /* compared with, for integer tensors */
    double real;           /* compared with, for floating-point tensors */
} pto2_predicate;

#define PTO2_PREDICATE_FIELDS(F, T)                                             \
    F(T, bytes, 0) F(T, comparison, 4) F(T, tensor, 8) F(T, index, 16)          \
    F(T, integer, 24) F(T, real, 32)
PTO2_ASSERT_LAYOUT(pto2_predicate, PTO2_PREDICATE_FIELDS, 40);

/* Whether a task whose worker died while running it is run again. */
typedef enum pto2_recovery {
    PTO2_RECOVERY_AUTOMATIC = 0, /* if it has no INOUT and no NO_DEP tensor */
    PTO2_RECOVERY_AGAIN = 1,     /* always: half a run and a whole one give the same */
    PTO2_RECOVERY_ONCE = 2,      /* never */
    PTO2_RECOVERY_SNAPSHOT = 3,  /* INOUT tensors get their old contents back first */
    PTO2_RECOVERY_WIDEST = 0x7FFFFFFF
} pto2_recovery;

/* A task: up to three kernels. AIC runs a matrix kernel, AIV0 and AIV1 vector
 * kernels; all see the same arguments. A kernel is given as a handle or by its name,
 * not both; with neither its place stays empty. A task without kernels runs nothing and
 * orders others. */
typedef struct pto2_submission {
    uint32_t bytes; /* sizeof(pto2_submission) */
    pto2_recovery recovery;
    pto2_kernel kernels[PTO2_SLOTS];
    const char *kernel_names[PTO2_SLOTS]; /* looked up at each submit */
    const pto2_argument *arguments;       /* tensors, in the kernel's order */
    const uint64_t *scalars;              /* raw bits */
    const pto2_dependency *dependencies;
    const pto2_predicate *predicate; /* NULL = the task runs in any case */
    uint32_t argument_count;         /* at most PTO2_MAX_TENSORS */
    uint32_t scalar_count;           /* at most PTO2_MAX_SCALARS */
    uint32_t dependency_count;
    uint32_t block_count;        /* SPMD: blocks to run; 0 and 1 = one */
    uint32_t require_sync_start; /* SPMD: all blocks start together */
    uint32_t run_on;             /* 1 + the rank on which it runs; 0 = where its bytes are */
    const uint32_t *scalar_holes; /* NULL, or one per scalar: 0 for the one in `scalars`, n */
                                  /* for scalar n - 1 of the recording that lasts */
    const char *name; /* of the task, for tools and for its error: as names of scopes; */
                      /* NULL and "" = none */
    uint32_t near; /* 1 + the cluster whose cores come first, as far as they are free; */
                   /* 0 = any, behind its producers or where least was done */
    uint32_t reserved;
} pto2_submission;

#define PTO2_SUBMISSION_FIELDS(F, T)                                                \
    F(T, bytes, 0) F(T, recovery, 4) F(T, kernels, 8) F(T, kernel_names, 32)        \
    F(T, arguments, 56) F(T, scalars, 64) F(T, dependencies, 72) F(T, predicate, 80) \
    F(T, argument_count, 88) F(T, scalar_count, 92) F(T, dependency_count, 96)      \
    F(T, block_count, 100) F(T, require_sync_start, 104) F(T, run_on, 108) \
    F(T, scalar_holes, 112) F(T, name, 120) F(T, near, 128) F(T, reserved, 132)
PTO2_ASSERT_LAYOUT(pto2_submission, PTO2_SUBMISSION_FIELDS, 136);

/* What recorded tasks use that a replay has others for: tensors and views, no two with an
 * element in common, and scalars. */
typedef struct pto2_holes {
    uint32_t bytes; /* sizeof(pto2_holes) */
    uint32_t tensor_count;
    const pto2_tensor_handle *tensors;
    const uint64_t *scalars; /* raw bits */
    uint32_t scalar_count;
    uint32_t reserved;
} pto2_holes;

#define PTO2_HOLES_FIELDS(F, T)                                              \
    F(T, bytes, 0) F(T, tensor_count, 4) F(T, tensors, 8) F(T, scalars, 16)  \
    F(T, scalar_count, 24) F(T, reserved, 28)
PTO2_ASSERT_LAYOUT(pto2_holes, PTO2_HOLES_FIELDS, 32);

/* ---- what the runtime tells ---------------------------------------------- */

/* An error with what it is about. The caller sets `bytes`; the rest is filled in. */
typedef struct pto2_error_info {
    uint32_t bytes; /* sizeof(pto2_error_info) */
    pto2_error code;
    uint64_t task;      /* the id of the task it is about, or PTO2_NO_TASK */
    uint64_t needed;    /* bytes or items that were needed, */
    uint64_t available; /* and that there were; both 0 when it is not about a size */
    int32_t ring;       /* -1 when it is about none */
    uint32_t reserved;
    char message[472]; /* what happened and what to do; cut when it is longer */
} pto2_error_info;

#define PTO2_NO_TASK UINT64_MAX

#define PTO2_ERROR_INFO_FIELDS(F, T)                                                   \
    F(T, bytes, 0) F(T, code, 4) F(T, task, 8) F(T, needed, 16) F(T, available, 24) \
    F(T, ring, 32) F(T, reserved, 36) F(T, message, 40)
PTO2_ASSERT_LAYOUT(pto2_error_info, PTO2_ERROR_INFO_FIELDS, 512);

/* What a graph runs on. The caller sets `bytes`; the rest is filled in. */
typedef struct pto2_machine {
    uint32_t bytes;    /* sizeof(pto2_machine) */
    uint32_t clusters; /* of one AIC and two AIV cores each */
    uint32_t cores;    /* 3 * clusters */
    uint32_t lanes;    /* dispatches that a core can hold at once */
    uint32_t rings;
    uint32_t scheduler_threads;
    uint32_t rank;  /* which of the ranks that run the program this one is: docs/machines.md */
    uint32_t ranks; /* so many there are; 1 without mpirun */
} pto2_machine;

#define PTO2_MACHINE_FIELDS(F, T)                                               \
    F(T, bytes, 0) F(T, clusters, 4) F(T, cores, 8) F(T, lanes, 12) F(T, rings, 16) \
    F(T, scheduler_threads, 20) F(T, rank, 24) F(T, ranks, 28)
PTO2_ASSERT_LAYOUT(pto2_machine, PTO2_MACHINE_FIELDS, 32);

/* How much a line that a program logs matters. */
typedef enum pto2_log_level {
    PTO2_LOG_ERROR = 0,
    PTO2_LOG_WARNING = 1,
    PTO2_LOG_INFO = 2,
    PTO2_LOG_DEBUG = 3, /* shown only when asked for */
    PTO2_LOG_WIDEST = 0x7FFFFFFF
} pto2_log_level;

/* ---- the calls ------------------------------------------------------------ */

typedef struct pto2_program_api {
    uint32_t major; /* PTO2_PROGRAM_MAJOR */
    uint32_t bytes; /* sizeof(pto2_program_api) of the runtime: what lies beyond is not
                       there. Members are added at the end. */

    /* Kernels and machine. */

    /* Looks a kernel up by the name in its image's table. */
    pto2_error (*kernel)(pto2_graph *, const char *name, pto2_kernel *out);
    pto2_error (*machine)(pto2_graph *, pto2_machine *out);

    /* Tensors. */

    /* External memory: zero-filled, in the segment, owned by the program until
     * free_tensor or the end of the run. An extent may be 0. */
    pto2_error (*external_tensor)(pto2_graph *, pto2_dtype dtype, uint32_t rank,
                                  const uint32_t *shape, pto2_tensor_handle *out);
    /* Memory from the heap ring without a kernel, until the scope ends; not
     * cleared. */
    pto2_error (*allocate)(pto2_graph *, pto2_dtype dtype, uint32_t rank,
                           const uint32_t *shape, pto2_tensor_handle *out);
    /* A tensor whose every element is *element, one of dtype; for reading only,
     * until the scope ends. */
    pto2_error (*fill)(pto2_graph *, pto2_dtype dtype, uint32_t rank, const uint32_t *shape,
                       const void *element, pto2_tensor_handle *out);

    /* Views. One that cannot be made is an error that the program may live with: the
     * run goes on, and *out is a handle that other calls refuse. slice takes offset and
     * length per dimension; slice_steps every steps[d]-th element; broadcast repeats
     * dimensions of extent 1 and adds outer ones, for reading only. */
    pto2_error (*slice)(pto2_graph *, const pto2_tensor_handle *base, const uint32_t *offset,
                        const uint32_t *shape, pto2_tensor_handle *out);
    pto2_error (*slice_steps)(pto2_graph *, const pto2_tensor_handle *base,
                              const uint32_t *offset, const uint32_t *shape,
                              const uint32_t *steps, pto2_tensor_handle *out);
    pto2_error (*reshape)(pto2_graph *, const pto2_tensor_handle *base, uint32_t rank,
                          const uint32_t *shape, pto2_tensor_handle *out);
    pto2_error (*transpose)(pto2_graph *, const pto2_tensor_handle *base, uint32_t first,
                            uint32_t second, pto2_tensor_handle *out);
    pto2_error (*broadcast)(pto2_graph *, const pto2_tensor_handle *base, uint32_t rank,
                            const uint32_t *shape, pto2_tensor_handle *out);

    /* Address of the first element in this process, or NULL. Touch it before
     * the first submit that uses it, or after wait(). On several ranks each has the whole
     * tensor then, and each writes the same. */
    void *(*data)(pto2_graph *, const pto2_tensor_handle *);
    /* One element, after waiting for the tasks that write it (get), or write or
     * read it (set), at most so long; then error 8. index: one per dimension, NULL
     * for a tensor of rank 0. */
    pto2_error (*get)(pto2_graph *, const pto2_tensor_handle *, const uint32_t *index,
                      uint64_t limit_nanoseconds, void *element);
    pto2_error (*set)(pto2_graph *, const pto2_tensor_handle *, const uint32_t *index,
                      uint64_t limit_nanoseconds, const void *element);

    /* Tasks. */

    pto2_error (*scope_begin)(pto2_graph *);
    /* A scope in which only explicit dependencies order tasks. A scope begun inside
     * it has its own mode. */
    pto2_error (*scope_begin_manual)(pto2_graph *);
    pto2_error (*scope_end)(pto2_graph *);
    /* Blocks while a ring is full. *task may be NULL. */
    pto2_error (*submit)(pto2_graph *, const pto2_submission *, pto2_task *task);
    /* Submits `count` tasks in their order; later ones may use outputs of earlier ones.
     * Stops at the first that fails. *submitted, unless NULL, is how many went in: on
     * failure the index of the one that did not. tasks[count] may be NULL. */
    pto2_error (*submit_many)(pto2_graph *, const pto2_submission *submissions,
                              uint32_t count, pto2_task *tasks, uint32_t *submitted);
    /* Blocks until every task submitted so far is done. */
    pto2_error (*wait)(pto2_graph *);

    /* Errors. */

    /* Ends the run with error 9 and this message. */
    pto2_error (*fail)(pto2_graph *, const char *message);
    /* The first error's message, or NULL. Valid until the run ends. After a call that
     * could not make a view, and before one that succeeds, that call's. */
    const char *(*error_message)(pto2_graph *);
    /* The same error; its code is 0 when there was none. Returns 0, or error 5 when
     * `bytes` is not set. */
    pto2_error (*error_info)(pto2_graph *, pto2_error_info *out);

    /* Recorded tasks: docs/programs.md, "Record and replay". *holes may be NULL: none. */

    /* From here on the tasks that are submitted are recorded, too. Only tasks can be. */
    pto2_error (*record_begin)(pto2_graph *, const pto2_holes *holes);
    /* Ends the recording. outputs[output_count]: outputs of recorded tasks, or views of
     * them, of which a replay is to return handles. */
    pto2_error (*record_end)(pto2_graph *, const pto2_tensor_handle *outputs,
                             uint32_t output_count, pto2_template *out);
    /* Submits recorded tasks in the current scope. outputs: as many as were recorded.
     * tasks: NULL, or as many as were recorded. Blocks while a ring is full. */
    pto2_error (*replay)(pto2_graph *, pto2_template, const pto2_holes *holes,
                         pto2_tensor_handle *outputs, pto2_task *tasks);
    /* Forgets recorded tasks; what was submitted of them runs. */
    pto2_error (*template_free)(pto2_graph *, pto2_template);

    /* Gives an external tensor back before the run ends, by its handle or one of a view
     * of it. Waits for nothing. Using it later is error 5; tasks that were submitted
     * before use it to their end. Once all of these are done its memory goes to new
     * external tensors; a call that finds no other room waits for that. */
    pto2_error (*free_tensor)(pto2_graph *, const pto2_tensor_handle *);

    /* A view of the same bytes as elements of another type. If its size differs, the
     * innermost dimension becomes so much longer or shorter: it has no gaps, is a whole
     * number of such elements, and these lie at multiples of their size. */
    pto2_error (*bit_cast)(pto2_graph *, const pto2_tensor_handle *base, pto2_dtype dtype,
                           pto2_tensor_handle *out);

    /* As fail, with a code of the program's own, PTO2_ERROR_PROGRAM (1000) to
     * PTO2_ERROR_PROGRAM_LAST (1039): the run's error has it, and the exit status is
     * 80 + (code - 1000). Another code is error 5. */
    pto2_error (*fail_with)(pto2_graph *, uint32_t code, const char *message);
    /* A line on standard error, after the run's name and the level; --log and --quiet of
     * the command line say up to which level. Changes nothing, also after an error. */
    void (*log)(pto2_graph *, pto2_log_level level, const char *message);

    /* As scope_begin, or scope_begin_manual if is_manual is not 0, with a name for tools;
     * scopes of one name are counted together. 60 bytes of it are kept, and 511 names of a
     * session, counting those of tasks in scopes of each name: what is beyond has none. NULL
     * and "" are none: the name of the scope around it. */
    pto2_error (*scope_begin_named)(pto2_graph *, const char *name, int32_t is_manual);

    /* Where a program runs on several ranks: docs/machines.md. */

    /* As external_tensor; tasks that write it run on rank `on` unless they say something
     * else. Every rank has the same contents at first. */
    pto2_error (*external_tensor_on)(pto2_graph *, pto2_dtype dtype, uint32_t rank,
                                     const uint32_t *shape, uint32_t on,
                                     pto2_tensor_handle *out);
    /* As scope_begin_named; tasks of it and of the scopes in it run on rank `on` unless the
     * bytes that they use, or the program, say something else. */
    pto2_error (*scope_begin_on)(pto2_graph *, uint32_t on, const char *name,
                                 int32_t is_manual);
} pto2_program_api;

#define PTO2_PROGRAM_API_FIELDS(F, T)                                                   \
    F(T, major, 0) F(T, bytes, 4) F(T, kernel, 8) F(T, machine, 16)                     \
    F(T, external_tensor, 24) F(T, allocate, 32) F(T, fill, 40) F(T, slice, 48)         \
    F(T, slice_steps, 56) F(T, reshape, 64) F(T, transpose, 72) F(T, broadcast, 80)     \
    F(T, data, 88) F(T, get, 96) F(T, set, 104) F(T, scope_begin, 112)                  \
    F(T, scope_begin_manual, 120) F(T, scope_end, 128) F(T, submit, 136)                \
    F(T, submit_many, 144) F(T, wait, 152) F(T, fail, 160) F(T, error_message, 168)     \
    F(T, error_info, 176) F(T, record_begin, 184) F(T, record_end, 192)                 \
    F(T, replay, 200) F(T, template_free, 208) F(T, free_tensor, 216)                   \
    F(T, bit_cast, 224) F(T, fail_with, 232) F(T, log, 240)        \
    F(T, scope_begin_named, 248) F(T, external_tensor_on, 256) F(T, scope_begin_on, 264)
PTO2_ASSERT_LAYOUT(pto2_program_api, PTO2_PROGRAM_API_FIELDS, 272);

/* ---- entry points of a shared object -------------------------------------- */

/* Builds the graph. argv[0] is the object's name. Returns 0, or anything else to fail. */
PTO2_EXPORT int32_t pto2_program_main(const pto2_program_api *api, pto2_graph *graph,
                                      int32_t argc, const char *const *argv)
    __asm__(PTO2_PROGRAM_MAIN_SYMBOL);

/* Optional: the kernel images the program needs, by path or by name ("add" finds
 * libadd.so beside the program and in PTO2_KERNEL_PATH); NULL ends the list. */
PTO2_EXPORT const char *const *pto2_program_images(void)
    __asm__(PTO2_PROGRAM_IMAGES_SYMBOL);

typedef int32_t (*pto2_program_main_function)(const pto2_program_api *, pto2_graph *,
                                              int32_t, const char *const *);
typedef const char *const *(*pto2_program_images_function)(void);

/* ---- shorthands ------------------------------------------------------------ */

/* A tensor that is there already. */
static inline pto2_argument pto2_use(pto2_access access, pto2_tensor_handle *tensor) {
    pto2_argument argument = {sizeof(pto2_argument), access, PTO2_FLOAT32, 0, {0}, 0, tensor};
    return argument;
}

/* A new tensor, whose handle goes to *tensor; of more dimensions than PTO2_MAX_RANK the
 * first are taken, and submit refuses the rank. */
static inline pto2_argument pto2_output(pto2_dtype dtype, uint32_t rank,
                                        const uint32_t *shape, pto2_tensor_handle *tensor) {
    pto2_argument argument = {sizeof(pto2_argument), PTO2_OUTPUT, dtype, rank, {0}, 0, tensor};
    for (uint32_t d = 0; d < rank && d < PTO2_MAX_RANK; d++) argument.shape[d] = shape[d];
    return argument;
}

/* The same, alive until free_tensor or the end of the run, whatever the scope. */
static inline pto2_argument pto2_kept_output(pto2_dtype dtype, uint32_t rank,
                                             const uint32_t *shape,
                                             pto2_tensor_handle *tensor) {
    pto2_argument argument = pto2_output(dtype, rank, shape, tensor);
    argument.access = PTO2_OUTPUT_KEPT;
    return argument;
}

static inline pto2_dependency pto2_after(pto2_task task) {
    pto2_dependency dependency = {sizeof(pto2_dependency), 0, task};
    return dependency;
}

static inline pto2_dependency pto2_retain(pto2_task task) {
    pto2_dependency dependency = {sizeof(pto2_dependency), 1, task};
    return dependency;
}

/* A scalar that kernels read with pto2_scalar_f32. */
static inline uint64_t pto2_float_bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* api->log with a format as printf(3) has it; cut after 1023 bytes. Nothing where the
 * runtime is older than that call. */
__attribute__((format(printf, 4, 5)))
static inline void pto2_logf(const pto2_program_api *api, pto2_graph *graph,
                             pto2_log_level level, const char *format, ...) {
    char text[1024];
    va_list arguments;
    if (api->bytes < offsetof(pto2_program_api, log) + sizeof api->log) return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    api->log(graph, level, text);
}

/* api->scope_begin_named; a scope without a name where the runtime is older. */
static inline pto2_error pto2_scope_begin_named(const pto2_program_api *api, pto2_graph *graph,
                                                const char *name) {
    if (api->bytes < offsetof(pto2_program_api, scope_begin_named) + sizeof api->scope_begin_named)
        return api->scope_begin(graph);
    return api->scope_begin_named(graph, name, 0);
}

PTO2_END_C

#endif
