/* What a program in a shared object includes. `pto2-orchestrator --program
 * x.so` loads it, creates the segment, starts the processes and calls its
 * entry point in the orchestrator process:
 *
 *     int32_t pto2_program_main(const pto2_program_api *api, pto2_graph *graph,
 *                               int32_t argc, const char *const *argv);
 *     const char *const *pto2_program_images(void);   // optional
 *
 * Any language that can export a C function can be used. Every call is made
 * from the thread that pto2_program_main runs on. A call that fails returns
 * non-zero; from then on every call fails and the program should return.
 * The run's exit code and message come from the first error.
 */
#ifndef PTO2_PROGRAM_H
#define PTO2_PROGRAM_H

#include "pto2.h"

/* The version of the program table, apart from those of the kernel table and of the
 * segment. */
#define PTO2_PROGRAM_MAJOR 1

#define PTO2_PROGRAM_MAIN_SYMBOL "pto2_program_main"
#define PTO2_PROGRAM_IMAGES_SYMBOL "pto2_program_images"

typedef struct pto2_graph pto2_graph;

/* A tensor or a view of one. Opaque; copy it freely. */
typedef struct pto2_tensor_handle {
    uint64_t opaque[12];
} pto2_tensor_handle;

/* A submitted task. id = ring << 32 | local id. */
typedef struct pto2_task {
    uint64_t id;
} pto2_task;

/* One argument of a task. For PTO2_OUTPUT the runtime allocates a tensor of
 * the given dtype and shape and stores its handle to *tensor; for the other
 * access modes *tensor is read. */
typedef struct pto2_argument {
    uint32_t access; /* PTO2_INPUT, PTO2_OUTPUT, PTO2_INOUT, ... */
    uint32_t dtype;  /* PTO2_OUTPUT only */
    uint32_t rank;   /* PTO2_OUTPUT only */
    uint32_t shape[PTO2_MAX_RANK];
    pto2_tensor_handle *tensor;
} pto2_argument;

/* An explicit dependency: the task starts only when `task` is done. With
 * `retain`, the outputs of `task`, whose scope must be open, stay alive until
 * this task is done. */
typedef struct pto2_dependency {
    pto2_task task;
    uint32_t retain;
    uint32_t reserved;
} pto2_dependency;

/* Runs a task only if an element of a tensor compares to a value in this way
 * when the task is ready; otherwise its consumers go on without it. */
typedef struct pto2_predicate {
    const pto2_tensor_handle *tensor; /* NULL = no predicate */
    const uint32_t *index;            /* one per dimension of the tensor */
    uint32_t comparison;              /* PTO2_EQ ... */
    uint32_t reserved;
    int64_t integer; /* compared with, for integer tensors */
    double real;     /* compared with, for floating-point tensors */
} pto2_predicate;

/* Whether a task whose worker died while running it is run again. */
#define PTO2_RECOVERY_AUTOMATIC 0u /* if it has no INOUT and no NO_DEP tensor */
#define PTO2_RECOVERY_AGAIN 1u     /* always: half a run and a whole one give the same */
#define PTO2_RECOVERY_ONCE 2u      /* never */
#define PTO2_RECOVERY_SNAPSHOT 3u  /* INOUT tensors get their old contents back first */

/* A task: up to three kernels by name (NULL = inactive). AIC runs a matrix
 * kernel, AIV0 and AIV1 vector kernels; all see the same arguments. */
typedef struct pto2_submission {
    const char *kernels[PTO2_SLOTS];
    const pto2_argument *arguments; /* tensors, in the kernel's order */
    uint32_t argument_count;        /* at most PTO2_MAX_TENSORS */
    uint32_t scalar_count;          /* at most PTO2_MAX_SCALARS */
    const uint64_t *scalars;        /* raw bits */
    const pto2_dependency *dependencies;
    uint32_t dependency_count;
    uint32_t block_count;           /* SPMD: blocks to run; 0 and 1 = one */
    uint32_t require_sync_start;    /* SPMD: all blocks start together */
    uint32_t recovery;              /* PTO2_RECOVERY_...: if its worker dies */
    pto2_predicate predicate;
} pto2_submission;

typedef struct pto2_program_api {
    uint32_t major; /* PTO2_PROGRAM_MAJOR; check it */
    uint32_t bytes;     /* sizeof(pto2_program_api) of the runtime: what lies
                           beyond is not there. Members are added at the end. */

    /* External memory: zero-filled, in the segment, owned by the program until
     * the run ends. */
    int32_t (*external_tensor)(pto2_graph *, uint32_t dtype, uint32_t rank,
                               const uint32_t *shape, pto2_tensor_handle *out);
    /* View of a contiguous or strided region: offset and length per dimension. */
    int32_t (*slice)(pto2_graph *, const pto2_tensor_handle *base,
                     const uint32_t *offset, const uint32_t *shape,
                     pto2_tensor_handle *out);
    int32_t (*reshape)(pto2_graph *, const pto2_tensor_handle *base, uint32_t rank,
                       const uint32_t *shape, pto2_tensor_handle *out);
    /* Address of the first element in this process, or NULL. Touch it before
     * the first submit that uses it, or after wait(). */
    void *(*data)(pto2_graph *, const pto2_tensor_handle *);

    int32_t (*scope_begin)(pto2_graph *);
    int32_t (*scope_end)(pto2_graph *);
    /* Blocks while a ring is full. *task may be NULL. */
    int32_t (*submit)(pto2_graph *, const pto2_submission *, pto2_task *task);
    /* Blocks until every task submitted so far is done. */
    int32_t (*wait)(pto2_graph *);
    /* Ends the run with error 9 and this message. */
    int32_t (*fail)(pto2_graph *, const char *message);
    /* The first error's message, or NULL. */
    const char *(*error_message)(pto2_graph *);

    /* A scope in which only explicit dependencies order tasks; scope_end ends
     * it. A scope begun inside it has its own mode. */
    int32_t (*scope_begin_manual)(pto2_graph *);

    /* More views. slice_steps takes every steps[d]-th element; broadcast
     * repeats dimensions of extent 1 and adds outer ones, for reading only. */
    int32_t (*slice_steps)(pto2_graph *, const pto2_tensor_handle *base,
                           const uint32_t *offset, const uint32_t *shape,
                           const uint32_t *steps, pto2_tensor_handle *out);
    int32_t (*transpose)(pto2_graph *, const pto2_tensor_handle *base, uint32_t first,
                         uint32_t second, pto2_tensor_handle *out);
    int32_t (*broadcast)(pto2_graph *, const pto2_tensor_handle *base, uint32_t rank,
                         const uint32_t *shape, pto2_tensor_handle *out);
    /* Memory from the heap ring without a kernel, until the scope ends; not
     * cleared. */
    int32_t (*allocate)(pto2_graph *, uint32_t dtype, uint32_t rank, const uint32_t *shape,
                        pto2_tensor_handle *out);
    /* A tensor whose every element is *element, one of dtype; for reading only,
     * until the scope ends. */
    int32_t (*fill)(pto2_graph *, uint32_t dtype, uint32_t rank, const uint32_t *shape,
                    const void *element, pto2_tensor_handle *out);
    /* One element, after waiting for the tasks that write it (get), or write or
     * read it (set), at most so many seconds; then error 8. index: one per
     * dimension, NULL for a tensor of rank 0. */
    int32_t (*get)(pto2_graph *, const pto2_tensor_handle *, const uint32_t *index,
                   double limit_seconds, void *element);
    int32_t (*set)(pto2_graph *, const pto2_tensor_handle *, const uint32_t *index,
                   double limit_seconds, const void *element);
} pto2_program_api;

typedef int32_t (*pto2_program_main_function)(const pto2_program_api *, pto2_graph *,
                                              int32_t, const char *const *);
typedef const char *const *(*pto2_program_images_function)(void);

#endif
