/* What kernels and programs share: limits, data types, access modes, error codes,
 * and a tensor as a kernel sees it. The other public headers include it:
 *
 *     pto2_kernel.h    kernels: functions that tasks run
 *     pto2_program.h   programs: what builds a graph
 *     pto2_session.h   a program with its own main(): libpto2.so
 *
 * C11 or C++17; each header can be included alone. docs/c-api.md says what stays
 * as it is from version to version.
 */
#ifndef PTO2_H
#define PTO2_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define PTO2_STATIC_ASSERT static_assert
#define PTO2_BEGIN_C extern "C" {
#define PTO2_END_C }
#else
#define PTO2_STATIC_ASSERT _Static_assert
#define PTO2_BEGIN_C
#define PTO2_END_C
#endif

/* Of the package. What fits together is told by versions of its own: docs/c-api.md. */
#define PTO2_VERSION "1.0.0"

/* Visible to dlsym() whatever -fvisibility says. */
#define PTO2_EXPORT __attribute__((visibility("default")))

PTO2_BEGIN_C

/* Lists of fields. FIELDS(F, T) names every field of the record T as
 * F(T, field, byte offset), explicit padding included; PTO2_ASSERT_LAYOUT stands
 * under each record and checks them all. */
#define PTO2_ASSERT_FIELD(T, field, at) \
    PTO2_STATIC_ASSERT(offsetof(T, field) == (at), #T "." #field);
#define PTO2_ASSERT_LAYOUT(T, FIELDS, size) \
    FIELDS(PTO2_ASSERT_FIELD, T)            \
    PTO2_STATIC_ASSERT(sizeof(T) == (size), #T)

/* ---- limits ------------------------------------------------------------- */

#define PTO2_CACHE_LINE 64
#define PTO2_MAX_RINGS 8
#define PTO2_MAX_SCOPE_DEPTH 64
#define PTO2_MAX_CLUSTERS 40 /* 3 COND words each; futex_waitv takes 128 */
#define PTO2_CORES_PER_CLUSTER 3
#define PTO2_MAX_LANES 64
#define PTO2_MAX_SCHEDULER_THREADS 8
#define PTO2_MAX_RANK 5
#define PTO2_MAX_TENSORS 32 /* per task; one more is error 5 */
#define PTO2_MAX_SCALARS 16 /* per task; one more is error 5 */
#define PTO2_MAX_ARGS 48
#define PTO2_MAX_IMAGES 16
#define PTO2_MAX_KERNELS 4096
#define PTO2_MAX_BLOCKS 1048576 /* SPMD blocks of a task */
#define PTO2_HEAP_ALIGN 64      /* bytes; every output starts on a cache line */
#define PTO2_SLOTS 3            /* subtask slots: AIC 0, AIV0 1, AIV1 2 */

/* No limit of time, where a limit in nanoseconds is asked for. */
#define PTO2_FOREVER UINT64_MAX

/* Each enum ends with a value that nothing has: it makes 31 bits wide what later
 * versions may add to. */

/* ---- error codes: 1..100 are the original's, 101 proposal 326's, 200..999 ours,
 * 1000..1039 a program's own (fail_with) */

typedef enum pto2_error {
    PTO2_ERROR_NONE = 0,
    PTO2_ERROR_SCOPE_DEADLOCK = 1,
    PTO2_ERROR_HEAP_RING_DEADLOCK = 2,
    PTO2_ERROR_FLOW_CONTROL_DEADLOCK = 3,
    PTO2_ERROR_DEP_POOL_OVERFLOW = 4,
    PTO2_ERROR_INVALID_ARGS = 5,
    PTO2_ERROR_REQUIRE_SYNC_START_INVALID = 7,
    PTO2_ERROR_TENSOR_WAIT_TIMEOUT = 8,
    PTO2_ERROR_EXPLICIT_ORCH_FATAL = 9,
    PTO2_ERROR_TENSORMAP_OVERFLOW = 11,
    PTO2_ERROR_SCHEDULER_TIMEOUT = 100,
    PTO2_ERROR_ENCODING_OVERFLOW = 101,
    PTO2_ERROR_WORKER_DIED = 200,
    PTO2_ERROR_SCHEDULER_DIED = 201,
    PTO2_ERROR_ORCHESTRATOR_DIED = 202,
    PTO2_ERROR_WORKER_MISSING = 203,    /* a core was never announced READY */
    PTO2_ERROR_SCHEDULER_MISSING = 204, /* no scheduler attached in time */
    PTO2_ERROR_IMAGE_REFUSED = 205,     /* kernel image missing or different */
    PTO2_ERROR_GARBAGE_WORD = 206,      /* a register word that is not legal */
    PTO2_ERROR_PROTOCOL = 207,          /* a record that contradicts its id */
    PTO2_ERROR_OUT_OF_MEMORY = 208,     /* /dev/shm is full */
    PTO2_ERROR_INTERRUPTED = 209,       /* a signal, or the program gave up waiting */
    PTO2_ERROR_SEGMENT_TRUNCATED = 210, /* somebody made the object smaller */
    PTO2_ERROR_RANK_DIED = 211,         /* another rank is gone */
    PTO2_ERROR_DIVERGED = 212,          /* the ranks do not run the same program */
    PTO2_ERROR_LINK_DIED = 213,         /* the process that speaks to the other ranks */
    PTO2_ERROR_PEER_SILENT = 214,       /* another rank does not answer in time */
    PTO2_ERROR_PROGRAM = 1000,     /* the first of a program's own, */
    PTO2_ERROR_PROGRAM_LAST = 1039, /* and the last one */
    PTO2_ERROR_WIDEST = 0x7FFFFFFF
} pto2_error;

/* ---- data types --------------------------------------------------------- */

typedef enum pto2_dtype {
    PTO2_FLOAT32 = 0,
    PTO2_FLOAT16 = 1,
    PTO2_BFLOAT16 = 2,
    PTO2_INT8 = 3,
    PTO2_INT16 = 4,
    PTO2_INT32 = 5,
    PTO2_INT64 = 6,
    PTO2_UINT8 = 7,
    PTO2_UINT16 = 8,
    PTO2_UINT32 = 9,
    PTO2_UINT64 = 10,
    PTO2_BOOL = 11,           /* a byte: 0 false, anything else true */
    PTO2_FLOAT8_E4M3FN = 12,  /* OCP's 8-bit floats; pto2_kernel.h converts them */
    PTO2_FLOAT8_E5M2 = 13,
    PTO2_DTYPE_WIDEST = 0x7FFFFFFF
} pto2_dtype;
#define PTO2_DTYPE_COUNT 14

/* ---- tensor access modes ------------------------------------------------ */

typedef enum pto2_access {
    PTO2_INPUT = 0,
    PTO2_OUTPUT = 1, /* allocated by the runtime from the heap ring */
    PTO2_INOUT = 2,
    PTO2_OUTPUT_EXISTING = 3, /* written in place, never read: no read-after-write */
    PTO2_NO_DEP = 4,          /* passed to the kernel, no dependency either way */
    PTO2_NO_DEP_CREATED = 5,  /* the same, but after the task that put the tensor out; */
                              /* kernels see PTO2_NO_DEP */
    PTO2_OUTPUT_KEPT = 6,     /* allocated from the arena, alive until free_tensor; kernels */
                              /* see PTO2_OUTPUT_EXISTING */
    PTO2_ACCESS_WIDEST = 0x7FFFFFFF
} pto2_access;

/* ---- predicates: element (comparison) value ----------------------------- */

typedef enum pto2_comparison {
    PTO2_EQ = 0,
    PTO2_NE = 1,
    PTO2_GT = 2,
    PTO2_LT = 3,
    PTO2_GE = 4,
    PTO2_LE = 5,
    PTO2_COMPARISON_WIDEST = 0x7FFFFFFF
} pto2_comparison;

/* ---- core types --------------------------------------------------------- */

typedef enum pto2_core_type {
    PTO2_AIC = 0, /* matrix */
    PTO2_AIV = 1, /* vector */
    PTO2_ANY_CORE = 2, /* of a kernel: either of them, as each task says */
    PTO2_CORE_TYPE_WIDEST = 0x7FFFFFFF
} pto2_core_type;

/* ---- tensors ------------------------------------------------------------ */

/* A tensor as a kernel sees it: one cache line. */
typedef struct pto2_tensor {
    uint64_t offset;                /* of the first element, in the segment */
    uint32_t shape[PTO2_MAX_RANK];  /* elements; 1 beyond rank */
    int32_t strides[PTO2_MAX_RANK]; /* elements, not bytes; 0 beyond rank */
    uint8_t dtype;                  /* PTO2_FLOAT32 ... */
    uint8_t rank;                   /* 0 (scalar) to 5 */
    uint8_t access;                 /* PTO2_INPUT ... */
    uint8_t reserved;
    uint32_t element_count; /* product of shape */
    uint64_t reserved2;
} pto2_tensor;

#define PTO2_TENSOR_FIELDS(F, T)                                               \
    F(T, offset, 0) F(T, shape, 8) F(T, strides, 28) F(T, dtype, 48)           \
    F(T, rank, 49) F(T, access, 50) F(T, reserved, 51) F(T, element_count, 52) \
    F(T, reserved2, 56)
PTO2_ASSERT_LAYOUT(pto2_tensor, PTO2_TENSOR_FIELDS, 64);

PTO2_END_C

#endif
