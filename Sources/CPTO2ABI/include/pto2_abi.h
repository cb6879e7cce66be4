/* The shared-memory ABI of pto2: every constant, record and offset that two
 * processes must agree on. Plain C11, no other header needed first.
 *
 * Rules that hold for every record here:
 *   - fixed-width fields, explicit padding, an assert on every offset in abi.c;
 *   - offsets, never addresses: bytes from the start of the segment unless the
 *     field says otherwise;
 *   - each record names its one writer role. A reader maps it read-only;
 *   - positions and local task ids are 32-bit, run free and wrap; compare them
 *     by the sign of their difference;
 *   - fields marked (word) are accessed atomically, the others are published
 *     by the release store of a word that the record's comment names.
 */
#ifndef PTO2_ABI_H
#define PTO2_ABI_H

#include <stddef.h>
#include <stdint.h>

/* ---- identity ----------------------------------------------------------- */

#define PTO2_MAGIC 0x31474553324F5450ull /* "PTO2SEG1", published last */
#define PTO2_ABI_MAJOR 1
#define PTO2_ABI_MINOR 0

/* ---- limits ------------------------------------------------------------- */

#define PTO2_CACHE_LINE 64
#define PTO2_MAX_RINGS 8
#define PTO2_MAX_SCOPE_DEPTH 64
#define PTO2_MAX_CLUSTERS 40 /* 3 COND words each; futex_waitv takes 128 */
#define PTO2_CORES_PER_CLUSTER 3
#define PTO2_MAX_LANES 8
#define PTO2_MAX_SCHEDULER_THREADS 8
#define PTO2_MAX_RANK 5
#define PTO2_MAX_TENSORS 32 /* per task; one more is error 5 */
#define PTO2_MAX_SCALARS 16 /* per task; one more is error 5 */
#define PTO2_MAX_ARGS 48
#define PTO2_MAX_IMAGES 16
#define PTO2_MAX_KERNELS 4096
#define PTO2_MAX_SECTIONS 96
#define PTO2_HEAP_ALIGN 64 /* bytes; every output starts on a cache line */
#define PTO2_SLOTS 3       /* subtask slots: AIC 0, AIV0 1, AIV1 2 */

/* ---- DATA_MAIN_BASE word: scheduler to core ------------------------------
 *  31 | 30     | 29 .................. 2 | 1 0
 *  0  | toggle | offset field (28 bits)  | slot
 * offset field = (descriptor byte offset from dispatch_base >> 3) + 1; 0 = idle.
 */
#define PTO2_WORD_TOGGLE 0x40000000u
#define PTO2_WORD_OFFSET_SHIFT 2
#define PTO2_WORD_OFFSET_MASK 0x0FFFFFFFu
#define PTO2_WORD_SLOT_MASK 0x3u
#define PTO2_WORD_OFFSET_MAX 0x0FFFFFFBu /* 0x0FFFFFFC, toggle, slot 0 is EXIT */

/* ---- COND word: core to scheduler ----------------------------------------
 * bit 31: 0 = ACK, 1 = FIN; bits 30:0 echo the DATA_MAIN_BASE word.
 */
#define PTO2_COND_FIN 0x80000000u

#define PTO2_EXIT_SIGNAL 0x7FFFFFF0u    /* DATA_MAIN_BASE: leave */
#define PTO2_SCHEDULER_IDLE 0x7FFFFFFDu /* DATA_MAIN_BASE: never dispatched */
#define PTO2_EXITED 0x7FFFFFFEu         /* COND: the core has left */
#define PTO2_CORE_IDLE 0x7FFFFFFFu      /* COND: never dispatched */

/* ---- task states -------------------------------------------------------- */

#define PTO2_TASK_PENDING 0
#define PTO2_TASK_READY 1
#define PTO2_TASK_RUNNING 2
#define PTO2_TASK_COMPLETED 3
#define PTO2_TASK_RELEASED 4
#define PTO2_TASK_CONSUMED 5

#define PTO2_OUTCOME_CANCELLED 0x80000000u /* a producer FAILED or was CANCELLED */

/* ---- error codes: 1..100 are the original's, 101 proposal 326's, 200+ ours */

#define PTO2_ERROR_NONE 0
#define PTO2_ERROR_SCOPE_DEADLOCK 1
#define PTO2_ERROR_HEAP_RING_DEADLOCK 2
#define PTO2_ERROR_FLOW_CONTROL_DEADLOCK 3
#define PTO2_ERROR_DEP_POOL_OVERFLOW 4
#define PTO2_ERROR_INVALID_ARGS 5
#define PTO2_ERROR_REQUIRE_SYNC_START_INVALID 7
#define PTO2_ERROR_TENSOR_WAIT_TIMEOUT 8
#define PTO2_ERROR_EXPLICIT_ORCH_FATAL 9
#define PTO2_ERROR_TENSORMAP_OVERFLOW 11
#define PTO2_ERROR_SCHEDULER_TIMEOUT 100
#define PTO2_ERROR_ENCODING_OVERFLOW 101
#define PTO2_ERROR_WORKER_DIED 200
#define PTO2_ERROR_SCHEDULER_DIED 201
#define PTO2_ERROR_ORCHESTRATOR_DIED 202
#define PTO2_ERROR_WORKER_MISSING 203    /* a core was never announced READY */
#define PTO2_ERROR_SCHEDULER_MISSING 204 /* no scheduler attached in time */
#define PTO2_ERROR_IMAGE_REFUSED 205     /* kernel image missing or different */
#define PTO2_ERROR_GARBAGE_WORD 206      /* a register word that is not legal */
#define PTO2_ERROR_PROTOCOL 207          /* a record that contradicts its id */
#define PTO2_ERROR_OUT_OF_MEMORY 208     /* /dev/shm is full */
#define PTO2_ERROR_INTERRUPTED 209       /* SIGINT or SIGTERM */
#define PTO2_ERROR_SEGMENT_TRUNCATED 210 /* somebody made the object smaller */

/* ---- data types --------------------------------------------------------- */

#define PTO2_FLOAT32 0
#define PTO2_FLOAT16 1
#define PTO2_BFLOAT16 2
#define PTO2_INT8 3
#define PTO2_INT16 4
#define PTO2_INT32 5
#define PTO2_INT64 6
#define PTO2_UINT8 7
#define PTO2_UINT16 8
#define PTO2_UINT32 9
#define PTO2_UINT64 10
#define PTO2_DTYPE_COUNT 11

/* ---- tensor access modes ------------------------------------------------ */

#define PTO2_INPUT 0
#define PTO2_OUTPUT 1          /* allocated by the runtime from the heap ring */
#define PTO2_INOUT 2
#define PTO2_OUTPUT_EXISTING 3 /* written in place, never read: no read-after-write */
#define PTO2_NO_DEP 4          /* passed to the kernel, no dependency either way */

/* ---- predicates: element (comparison) value ----------------------------- */

#define PTO2_EQ 0
#define PTO2_NE 1
#define PTO2_GT 2
#define PTO2_LT 3
#define PTO2_GE 4
#define PTO2_LE 5

/* ---- core types --------------------------------------------------------- */

#define PTO2_AIC 0 /* matrix */
#define PTO2_AIV 1 /* vector */

/* A tensor as a kernel sees it, one cache line, in the main slot's payload.
 * Writer: orchestrator. Published by the `submitted` word. */
typedef struct pto2_tensor {
    uint64_t offset;                  /* of the first element */
    uint32_t shape[PTO2_MAX_RANK];    /* elements; 1 beyond rank */
    int32_t strides[PTO2_MAX_RANK];   /* elements, not bytes; 0 beyond rank */
    uint8_t dtype;                    /* PTO2_FLOAT32 ... */
    uint8_t rank;                     /* 0 (scalar) to 5 */
    uint8_t access;                   /* PTO2_INPUT ... */
    uint8_t reserved;
    uint32_t element_count;           /* product of shape */
    uint64_t reserved2;
} pto2_tensor;

/* What a core reads to run a subtask: proposal 326's PTO2DispatchDesc.
 * Writer: orchestrator, at submit; published by the `submitted` word.
 *
 * A function_bin_addr is equal in every process. 0 = inactive; otherwise
 *   63:56 image index + 1 | 55 SPMD | 54 snapshot | 53:48 tensors |
 *   47:40 scalars | 39:0 byte offset of the function from its image's load base.
 * args[]: tensors first (segment offset of the first element), then scalars. */
typedef struct PTO2DispatchDesc {
    uint64_t function_bin_addrs[PTO2_SLOTS];
    uint64_t args[PTO2_MAX_ARGS];
} PTO2DispatchDesc;

#define PTO2_DESC_STRIDE 448 /* bytes: whole cache lines, 5 args fit in one */

#define PTO2_CALL_IMAGE_SHIFT 56
#define PTO2_CALL_SPMD 0x0080000000000000ull
#define PTO2_CALL_SNAPSHOT 0x0040000000000000ull
#define PTO2_CALL_TENSORS_SHIFT 48
#define PTO2_CALL_SCALARS_SHIFT 40
#define PTO2_CALL_OFFSET_MASK 0x000000FFFFFFFFFFull

/* One main-ring slot: this line, then PTO2_MAX_TENSORS tensors.
 * Writer: orchestrator; published by `submitted`; freed at RELEASED. */
typedef struct pto2_main_slot {
    uint64_t task_id;
    uint32_t fanin_first;    /* position in this ring's dependency pool */
    uint32_t fanin_count;
    uint32_t scope_previous; /* local id of the scope's task before this one */
    uint8_t active_mask;     /* bit per subtask slot; 0 = dummy */
    uint8_t flags;           /* PTO2_SLOT_... */
    uint8_t tensor_count;
    uint8_t scalar_count;
    uint16_t kernel_ids[PTO2_SLOTS]; /* index into the kernel names; for people */
    uint16_t scope_depth;
    uint32_t block_count;    /* SPMD blocks, 1 for any other task */
    uint32_t snapshot_line;  /* of a task with PTO2_SLOT_SNAPSHOT: where its snapshot */
                             /* begins, in cache lines from output_offset */
    uint64_t output_offset;  /* of the packed outputs and the snapshot, 0 = none */
    uint64_t heap_begin;     /* free-running heap position in bytes, before and */
    uint64_t heap_end;       /* after what this task takes and any wrap gap */
} pto2_main_slot;

#define PTO2_SLOT_PREDICATE 0x01  /* the record at PTO2_SLOT_PREDICATE_AT counts */
#define PTO2_SLOT_SYNC_START 0x02 /* all blocks start together */
#define PTO2_SLOT_RERUN 0x04      /* running it twice gives the same: see recovery */
#define PTO2_SLOT_CANCELLED 0x08  /* depends on a task that failed before: not to run */
#define PTO2_SLOT_SNAPSHOT 0x10   /* has a snapshot; so says its call word */

/* The snapshot of a task's INOUT tensors, behind its outputs in the heap: one cache
 * line whose first word says whether it is taken; then each such tensor in order of
 * the arguments, its elements in index order without gaps, from a cache line on.
 * Writer: the worker that runs the task, before its ACK; the orchestrator stores
 * EMPTY before it publishes the task. */
#define PTO2_SNAPSHOT_EMPTY 0u
#define PTO2_SNAPSHOT_TAKEN 1u /* (word) release: the elements */
#define PTO2_SNAPSHOT_ELEMENTS 64

/* The predicate of a task, after its tensors. Writer: orchestrator. */
typedef struct pto2_slot_predicate {
    uint64_t offset;    /* of the element, from the segment base */
    uint64_t value;     /* bits of an int64, or of a double for real types */
    uint8_t dtype;
    uint8_t comparison; /* PTO2_EQ ... */
    uint8_t reserved[6];
} pto2_slot_predicate;

#define PTO2_SLOT_PREDICATE_AT 2112
#define PTO2_MAIN_SLOT_STRIDE 2176 /* bytes: the line, its tensors, the predicate */

/* PTO2MainSlotState. Writer: scheduler. */
typedef struct pto2_main_slot_state {
    uint32_t fanin_refcount; /* producers that need no more waiting, + 1 once wired */
    uint32_t fanin_count;    /* producers + 1; READY when equal */
} pto2_main_slot_state;

/* One consumed-ring entry. Writer: scheduler; freed at CONSUMED. */
typedef struct pto2_consumed_entry {
    uint64_t task_id;
    uint32_t state;           /* PTO2_TASK_... */
    uint32_t fanout_head;     /* edge reference, NONE or CLOSED */
    uint32_t fanout_count;    /* retaining consumers + 1 for the scope + 1 until */
                              /* RELEASED; one 64-bit atomic word with the next */
    uint32_t fanout_refcount; /* of these, how many are done */
    uint32_t scope_previous;
    uint8_t flags;            /* PTO2_SLOT_..., copied from the main slot */
    uint8_t active_mask;      /* bit per subtask slot */
    uint8_t kills;            /* workers that died while running it */
    uint8_t crashes;          /* of these, of a signal it raised itself */
    uint64_t heap_end;        /* packed output end, free-running bytes */
    uint32_t outcome;         /* 0 = done, CANCELLED, or the code it FAILED with */
    uint32_t pool_end;        /* position after its dependency-pool entries */
    uint32_t block_count;
    uint32_t blocks_started;
    uint32_t subtasks_left;   /* over all blocks, without FIN */
    uint32_t scope_ended;     /* 1 = the scope has given its reference back */
} pto2_consumed_entry;

/* A dependency-pool position holds two halves with two writers: the fanin
 * entry (orchestrator) and the fanout edge made from it (scheduler).
 * Fanin entry: a task id with PTO2_FANIN_... flags in its top bits. */
#define PTO2_FANIN_WAIT 0x8000000000000000ull
#define PTO2_FANIN_RETAIN 0x4000000000000000ull
#define PTO2_FANIN_DATA 0x2000000000000000ull /* without its result there is no task */
#define PTO2_FANIN_ID_MASK 0x00000007FFFFFFFFull

typedef struct pto2_fanout_edge {
    uint64_t consumer; /* task id the edge was made for */
    uint32_t next;     /* edge reference */
    uint32_t flags;    /* PTO2_EDGE_... */
} pto2_fanout_edge;

#define PTO2_EDGE_RETAINED 0x1u
#define PTO2_EDGE_DATA 0x2u
#define PTO2_EDGE_RING_SHIFT 29 /* edge reference: ring 31:29, index 28:0 */
#define PTO2_EDGE_INDEX_MASK 0x1FFFFFFFu
#define PTO2_EDGE_NONE 0xFFFFFFFFu
#define PTO2_EDGE_CLOSED 0xFFFFFFFEu
#define PTO2_DEP_POOL_MAX 0x10000000u

/* Submission log record. Writer: orchestrator; published by `submitted`. */
typedef struct pto2_log_record {
    uint32_t kind;  /* PTO2_LOG_... */
    uint32_t ring;
    uint32_t id;    /* local id of the task, or of the scope's last task */
    uint32_t count; /* scope end: tasks submitted directly in the scope */
} pto2_log_record;

#define PTO2_LOG_TASK 1u
#define PTO2_LOG_SCOPE_END 2u

/* First fault of one role. `code` is stored last, with release. */
#define PTO2_MESSAGE_BYTES 960
typedef struct pto2_error_block {
    uint32_t code;     /* (word) */
    uint32_t ring;
    uint64_t task_id;
    uint64_t needed;
    uint64_t available;
    uint64_t time_nanoseconds; /* CLOCK_MONOTONIC */
    uint32_t core;
    uint32_t message_length;
    uint64_t reserved[2];
    char message[PTO2_MESSAGE_BYTES]; /* UTF-8, message_length bytes */
} pto2_error_block;

/* Who a role's process is. `pid` is stored last, with release. */
typedef struct pto2_process_record {
    uint32_t pid;         /* (word) 0 = none */
    uint32_t incarnation; /* 1 for the first process in this place */
    uint64_t start_time;  /* /proc/PID/stat field 22, clock ticks since boot */
    uint32_t supervised;  /* 1 = child of the orchestrator's launcher */
    uint32_t reserved;
    uint64_t heartbeat_nanoseconds; /* CLOCK_MONOTONIC, at announcement; the
                                       scheduler's at each look at the others too */
} pto2_process_record;

/* Orchestrator words, one section. Byte offsets of words within it; each
 * line has its own reason to be written. */
#define PTO2_ORCH_SUBMITTED 0     /* log position; release: log, slots, descs */
#define PTO2_ORCH_PARKED 64       /* which word is waited on, 0 = awake */
#define PTO2_ORCH_TARGET 68       /* position it is waited to reach */
#define PTO2_ORCH_CONTROL 128     /* PTO2_CONTROL_...; waited on by everyone */
#define PTO2_ORCH_PROCESS 192
#define PTO2_ORCH_ERROR 256
#define PTO2_ORCH_RINGS 1536      /* + 64 * ring: current_task_index */
#define PTO2_ORCH_BYTES 2048

#define PTO2_CONTROL_RUNNING 0u
#define PTO2_CONTROL_DONE 1u  /* program over, all consumed: leave cleanly */
#define PTO2_CONTROL_FATAL 2u /* the error block says why */

/* What PTO2_ORCH_PARKED may name. */
#define PTO2_PARKED_ON_WIRED 1u
#define PTO2_PARKED_ON_RELEASED 16u /* + ring */
#define PTO2_PARKED_ON_CONSUMED 32u /* + ring */

/* Scheduler words, one section. What is said of its restart: docs/faults.md. */
#define PTO2_SCHED_WIRED 0     /* log position: records before it are wired */
#define PTO2_SCHED_RING_WIRED 4 /* + 4 * ring: local id of the next task to wire; */
                               /* stored before PTO2_SCHED_WIRED passes the task */
#define PTO2_SCHED_PARKED 64   /* bit t: thread t sleeps; 0 waits for `submitted` */
#define PTO2_SCHED_CONTROL 128 /* PTO2_SCHED_... state; FATAL: see error block */
#define PTO2_SCHED_PROCESS 192
#define PTO2_SCHED_ERROR 256
#define PTO2_SCHED_RINGS 1536  /* + 64 * ring: the two watermarks */
#define PTO2_SCHED_RELEASED 0  /* one past the last of the RELEASED prefix */
#define PTO2_SCHED_CONSUMED 4  /* one past the last of the CONSUMED prefix */
#define PTO2_SCHED_COUNTERS 2048
#define PTO2_SCHED_ADMITTED 3072 /* + 4 * core: 1 while a READY worker is not fenced */
#define PTO2_SCHED_FENCED 4096   /* + 4 * core: READY value that is known to be gone */
#define PTO2_SCHED_FAILURES 4608 /* pto2_failures */
#define PTO2_SCHED_INTENT 5696   /* pto2_intent */
#define PTO2_SCHED_REDO 8192     /* PTO2_MAX_LOST times pto2_lost_subtask */
#define PTO2_SCHED_BYTES 24576

#define PTO2_SCHED_ABSENT 0u
#define PTO2_SCHED_ATTACHED 1u
#define PTO2_SCHED_FATAL 2u
#define PTO2_SCHED_STOPPED 3u /* every core has left, counters are final */

/* What the scheduler counted; plain stores, exact once STOPPED. */
typedef struct pto2_scheduler_counters {
    uint64_t tasks_completed;
    uint64_t edges;
    uint64_t subtasks_dispatched;
    uint64_t parks;
    uint64_t reserved1;
    uint64_t lost_locks; /* try-locks that another scheduler thread had */
    uint64_t reserved[2];
    uint32_t peak_main[PTO2_MAX_RINGS];
    uint32_t peak_consumed[PTO2_MAX_RINGS];
    uint32_t peak_dep_pool[PTO2_MAX_RINGS];
    uint32_t reserved2[8];
    uint64_t peak_heap_bytes[PTO2_MAX_RINGS];
} pto2_scheduler_counters;

/* A task that FAILED: a root cause, not an echo. */
typedef struct pto2_failure {
    uint64_t task_id;
    uint32_t core; /* on which its last attempt ended */
    uint32_t code; /* PTO2_ERROR_... */
    uint32_t kills;
    uint32_t flags; /* kernel id 31:16, PTO2_FAILURE_..., PTO2_SLOT_... of the task */
} pto2_failure;

#define PTO2_FAILURE_DEADLINE 0x100u /* killed because a kernel ran too long */
#define PTO2_FAILURE_STOPPED 0x200u  /* killed because it was stopped (SIGSTOP) */
#define PTO2_FAILURE_GARBAGE 0x400u  /* killed because of what stood in its COND words */

/* What did not end normally. Writer: scheduler; `failed` is released after the
 * record it counts, and before the task is RELEASED. */
#define PTO2_MAX_FAILURES 32 /* records; more are only counted */
typedef struct pto2_failures {
    uint32_t failed;    /* (word) */
    uint32_t cancelled; /* (word) */
    uint32_t lost;      /* (word) subtasks whose worker died, run again or not */
    uint32_t quarantined; /* (word) workers killed because of their COND words */
    pto2_failure first[PTO2_MAX_FAILURES];
} pto2_failures;

/* What the dispatcher is about to store to DATA_MAIN_BASE, for a scheduler that
 * comes after it. `target` is stored before the word, a slot's bit in `pending`
 * is cleared after it: so it can be told which words were stored. */
typedef struct pto2_intent {
    uint64_t task_id;
    uint64_t target;  /* the word 31:0, its core and lane 63:32; 0 = none yet */
    uint32_t pending; /* (word) block 31:3, subtask slots 2:0 */
    uint32_t reserved;
} pto2_intent;

/* A subtask whose worker has died, to run again. */
#define PTO2_MAX_LOST 960 /* every lane of every core */
typedef struct pto2_lost_subtask {
    uint64_t task_id;
    uint32_t subtask; /* (word) PTO2_LOST_USED, block 31:3 and slot 1:0; 0 = free place */
    uint32_t reserved;
} pto2_lost_subtask;

#define PTO2_LOST_USED 0x4u

/* DATA_MAIN_BASE: one line a core. Writer: scheduler. */
typedef struct pto2_dispatch_line {
    uint32_t words[PTO2_MAX_LANES];  /* (word) one per lane */
    uint32_t blocks[PTO2_MAX_LANES]; /* SPMD block index; published by its word */
} pto2_dispatch_line;

/* One page a core. Writer: the worker hosting that core. */
#define PTO2_CORE_COND 0       /* lanes of COND words */
#define PTO2_CORE_PARKED 64    /* 1 = asleep on its next DATA_MAIN_BASE lane */
#define PTO2_CORE_READY 128    /* incarnation once READY, 0 before */
#define PTO2_CORE_PROCESS 192
#define PTO2_CORE_ERROR 256
#define PTO2_CORE_COUNTERS 1536
#define PTO2_CORE_CRASH 1792 /* pto2_crash_record of the worker before, or of this one */
#define PTO2_CORE_BYTES 2048

/* Written by a worker's signal handler when it crashes. */
typedef struct pto2_crash_record {
    uint32_t signal;  /* (word) released last; 0 = none */
    uint32_t code;    /* siginfo si_code */
    uint64_t address; /* siginfo si_addr */
    uint64_t offset;  /* of the address in the segment, or PTO2_CRASH_ELSEWHERE */
    uint32_t access;  /* PTO2_CRASH_... */
    uint32_t reserved;
} pto2_crash_record;

#define PTO2_CRASH_ELSEWHERE 0xFFFFFFFFFFFFFFFFull
#define PTO2_CRASH_ACCESS 0u /* what it was is not known */
#define PTO2_CRASH_LOAD 1u
#define PTO2_CRASH_STORE 2u
#define PTO2_CRASH_CALL 3u

/* Attempts of a task that may be run again. */
#define PTO2_MAX_KILLS 3   /* workers that died while running it, of anything */
#define PTO2_MAX_CRASHES 2 /* of these, by a signal it raised itself: poisoned */

typedef struct pto2_core_counters {
    uint64_t kernels;              /* runs of a kernel */
    uint64_t timed_kernels;        /* of these, how many were timed */
    uint64_t timed_nanoseconds;    /* in those */
    uint64_t parks;
} pto2_core_counters;

/* A kernel image every process must load. Writer: orchestrator, before magic. */
#define PTO2_PATH_BYTES 1024
#define PTO2_IDENTITY_BYTES 32
typedef struct pto2_image_record {
    uint32_t identity_length;  /* bytes of identity */
    uint32_t kernel_count;
    uint64_t table_hash;       /* of names, core types and offsets */
    uint8_t identity[PTO2_IDENTITY_BYTES]; /* GNU build id, or FNV-1a of the file */
    char path[PTO2_PATH_BYTES];            /* absolute, NUL-terminated */
} pto2_image_record;

/* Kernel names by kernel id, for messages and tools. */
#define PTO2_KERNEL_NAME_BYTES 48
typedef struct pto2_kernel_record {
    uint64_t call;       /* image and offset as in function_bin_addrs */
    uint32_t core_type;
    uint32_t name_length;
    char name[PTO2_KERNEL_NAME_BYTES];
} pto2_kernel_record;

/* One section of the segment. */
typedef struct pto2_section {
    uint32_t kind;   /* PTO2_SECTION_... */
    uint32_t index;  /* ring, or 0 */
    uint64_t offset; /* page-aligned */
    uint64_t bytes;  /* whole pages */
    uint32_t writer; /* PTO2_ROLE_... bits */
    uint32_t reserved;
} pto2_section;

#define PTO2_ROLE_ORCHESTRATOR 1u
#define PTO2_ROLE_SCHEDULER 2u
#define PTO2_ROLE_WORKER 4u

#define PTO2_SECTION_HEADER 0u
#define PTO2_SECTION_IMAGES 1u
#define PTO2_SECTION_KERNELS 2u
#define PTO2_SECTION_ORCHESTRATOR 3u
#define PTO2_SECTION_LOG 4u
#define PTO2_SECTION_MAIN_RING 5u
#define PTO2_SECTION_DISPATCH_TABLE 6u
#define PTO2_SECTION_FANIN 7u
#define PTO2_SECTION_SCHEDULER 8u
#define PTO2_SECTION_DATA_MAIN_BASE 9u
#define PTO2_SECTION_CONSUMED_RING 10u
#define PTO2_SECTION_SLOT_STATES 11u
#define PTO2_SECTION_FANOUT 12u
#define PTO2_SECTION_CORES 13u
#define PTO2_SECTION_HEAP 14u
#define PTO2_SECTION_ARENA 15u
#define PTO2_SECTION_KINDS 16u

/* PTO2DispatchInitInfo: the one-shot start-up information of a core. */
typedef struct PTO2DispatchInitInfo {
    uint64_t dispatch_base; /* segment offset of descriptor 0 */
} PTO2DispatchInitInfo;

/* The configuration of a session; everything the layout is computed from. */
typedef struct pto2_configuration {
    uint32_t rings;
    uint32_t clusters;
    uint32_t lanes;
    uint32_t scheduler_threads;
    uint32_t log_capacity;
    uint32_t first_position;   /* where every free-running counter starts */
    uint32_t image_count;
    uint32_t kernel_count;
    uint32_t attach_timeout_milliseconds;
    uint32_t stall_limit_milliseconds; /* 0 = none */
    uint64_t arena_bytes;
    uint32_t task_window[PTO2_MAX_RINGS];
    uint32_t consumed_window[PTO2_MAX_RINGS];
    uint32_t dep_pool[PTO2_MAX_RINGS];
    uint64_t heap_bytes[PTO2_MAX_RINGS];
    uint32_t offset_limit; /* largest offset field, at most PTO2_WORD_OFFSET_MAX */
    uint32_t kernel_deadline_milliseconds; /* 0 = none */
    uint32_t stop_grace_milliseconds; /* of a stopped process; 0 = for ever */
    uint32_t flags;                   /* PTO2_SESSION_... */
} pto2_configuration;

#define PTO2_SESSION_QUIET 0x1u /* no warnings on standard error */
#define PTO2_SESSION_DRAIN 0x2u /* what is published is done even if the orchestrator dies */

/* Start of the segment. Writer: orchestrator, then nobody. */
typedef struct pto2_header {
    uint64_t magic; /* (word) release: everything in this header */
    uint32_t abi_major;
    uint32_t abi_minor;
    uint64_t layout_hash;
    uint64_t total_bytes;
    uint32_t page_bytes;
    uint32_t creator_pid;
    uint64_t creator_start_time;
    uint64_t session_epoch; /* CLOCK_REALTIME nanoseconds at creation */
    uint8_t boot_id[16];
    PTO2DispatchInitInfo dispatch;
    uint32_t section_count;
    uint32_t reserved;
    pto2_configuration configuration;
    pto2_section sections[PTO2_MAX_SECTIONS];
} pto2_header;

#endif
