/* The layout of a segment: every record and constant that two processes of pto2
 * must agree on. Private: kernels and programs see pto2.h alone.
 *
 * Rules that hold for every record here:
 *   - fixed-width fields, explicit padding; below each record stands the list of
 *     its fields with their offsets, asserted there and read again by layout.c for
 *     the layout hash and for docs/segment-layout.md;
 *   - offsets, never addresses: bytes from the start of the segment unless the
 *     field says otherwise;
 *   - each record names its one writer role. A reader maps it read-only;
 *   - positions and local task ids are 32-bit, run free and wrap; compare them
 *     by the sign of their difference;
 *   - fields marked (word) are accessed atomically, the others are published
 *     by the release store of a word that the record's comment names.
 */
#ifndef PTO2_SEGMENT_H
#define PTO2_SEGMENT_H

#include "pto2.h"

/* ---- identity ----------------------------------------------------------- */

#define PTO2_MAGIC 0x31474553324F5450ull /* "PTO2SEG1", published last */
/* The segment's own version, apart from those of the kernel and program tables. */
#define PTO2_SEGMENT_MAJOR 2
#define PTO2_SEGMENT_MINOR 0

/* ---- limits of the segment ---------------------------------------------- */

#define PTO2_MAX_SECTIONS 96
#define PTO2_MAX_CORES (PTO2_MAX_CLUSTERS * PTO2_CORES_PER_CLUSTER)

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

/* What a core reads to run a subtask: proposal 326's PTO2DispatchDesc.
 * Writer: orchestrator, at submit; published by the `submitted` word.
 *
 * A function_bin_addr is equal in every process. 0 = inactive; otherwise
 *   63:56 image index + 1 | 55 SPMD | 54 snapshot | 53:48 tensors |
 *   47:40 scalars | 39:0 byte offset of the function from its image's load base.
 * args[]: tensors first (segment offset of the first element), then scalars. */
typedef struct PTO2DispatchDesc {
    uint64_t function_bin_addrs[PTO2_SLOTS]; /* calls of AIC, AIV0 and AIV1 */
    uint64_t args[PTO2_MAX_ARGS];            /* tensors, then scalars */
} PTO2DispatchDesc;

#define PTO2_DISPATCH_DESC_FIELDS(F, T) \
    F(T, function_bin_addrs, 0) F(T, args, 24)
PTO2_ASSERT_LAYOUT(PTO2DispatchDesc, PTO2_DISPATCH_DESC_FIELDS, 408);

#define PTO2_DESC_STRIDE 448 /* bytes: whole cache lines, 5 args fit in one */
PTO2_STATIC_ASSERT(PTO2_DESC_STRIDE % PTO2_CACHE_LINE == 0, "descriptors start on lines");
PTO2_STATIC_ASSERT(PTO2_DESC_STRIDE >= sizeof(PTO2DispatchDesc), "a descriptor fits");
PTO2_STATIC_ASSERT(PTO2_MAX_TENSORS < 1 << 6, "the call word's field holds the count");
PTO2_STATIC_ASSERT(PTO2_MAX_ARGS == PTO2_MAX_TENSORS + PTO2_MAX_SCALARS, "unified args");

#define PTO2_CALL_IMAGE_SHIFT 56
#define PTO2_CALL_SPMD 0x0080000000000000ull
#define PTO2_CALL_SNAPSHOT 0x0040000000000000ull
#define PTO2_CALL_TENSORS_SHIFT 48
#define PTO2_CALL_SCALARS_SHIFT 40
#define PTO2_CALL_OFFSET_MASK 0x000000FFFFFFFFFFull

/* The first line of a main-ring slot.
 * Writer: orchestrator; published by `submitted`; freed at RELEASED. */
typedef struct pto2_main_slot {
    uint64_t task_id;        /* ring 63:32, local id 31:0 */
    uint32_t fanin_first;    /* position in this ring's dependency pool */
    uint32_t fanin_count;    /* entries from there on */
    uint32_t scope_previous; /* local id of the scope's task before this one */
    uint8_t active_mask;     /* bit per subtask slot; 0 = dummy */
    uint8_t flags;           /* PTO2_SLOT_... */
    uint8_t tensor_count;    /* of the tensors behind the slot */
    uint8_t scalar_count;
    uint16_t kernel_ids[PTO2_SLOTS]; /* index into the kernel names; for people */
    uint16_t scope_depth;
    uint32_t block_count;    /* SPMD blocks, 1 for any other task */
    uint32_t snapshot_line;  /* of a task with PTO2_SLOT_SNAPSHOT: where its snapshot */
                             /* begins, in cache lines from output_offset */
    uint64_t output_offset;  /* of the packed outputs and the snapshot, 0 = none */
    uint64_t heap_begin;     /* free-running heap position in bytes, before what this */
                             /* task takes and any wrap gap */
    uint64_t heap_end;       /* the same after it */
} pto2_main_slot;

#define PTO2_MAIN_SLOT_FIELDS(F, T) \
    F(T, task_id, 0) F(T, fanin_first, 8) F(T, fanin_count, 12) F(T, scope_previous, 16) \
    F(T, active_mask, 20) F(T, flags, 21) F(T, tensor_count, 22) F(T, scalar_count, 23) \
    F(T, kernel_ids, 24) F(T, scope_depth, 30) F(T, block_count, 32) F(T, snapshot_line, 36) \
    F(T, output_offset, 40) F(T, heap_begin, 48) F(T, heap_end, 56)
PTO2_ASSERT_LAYOUT(pto2_main_slot, PTO2_MAIN_SLOT_FIELDS, 64);

#define PTO2_SLOT_PREDICATE 0x01  /* the predicate behind the tensors counts */
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

/* The predicate of a task. Writer: orchestrator. */
typedef struct pto2_slot_predicate {
    uint64_t offset;    /* of the element, from the segment base */
    uint64_t value;     /* bits of an int64, or of a double for real types */
    uint8_t dtype;      /* PTO2_FLOAT32 ... */
    uint8_t comparison; /* PTO2_EQ ... */
    uint8_t reserved[6];
} pto2_slot_predicate;

#define PTO2_SLOT_PREDICATE_FIELDS(F, T) \
    F(T, offset, 0) F(T, value, 8) F(T, dtype, 16) F(T, comparison, 17) F(T, reserved, 18)
PTO2_ASSERT_LAYOUT(pto2_slot_predicate, PTO2_SLOT_PREDICATE_FIELDS, 24);

/* What the main ring is made of. */
typedef struct pto2_main_record {
    pto2_main_slot slot;
    pto2_tensor tensors[PTO2_MAX_TENSORS];
    pto2_slot_predicate predicate; /* of a task with PTO2_SLOT_PREDICATE */
    uint64_t reserved[5];
} pto2_main_record;

#define PTO2_MAIN_RECORD_FIELDS(F, T) \
    F(T, slot, 0) F(T, tensors, 64) F(T, predicate, 2112) F(T, reserved, 2136)
PTO2_ASSERT_LAYOUT(pto2_main_record, PTO2_MAIN_RECORD_FIELDS, 2176);

/* PTO2MainSlotState. Writer: scheduler. */
typedef struct pto2_main_slot_state {
    uint32_t fanin_refcount; /* producers that need no more waiting, + 1 once wired */
    uint32_t fanin_count;    /* producers + 1; READY when equal */
} pto2_main_slot_state;

#define PTO2_MAIN_SLOT_STATE_FIELDS(F, T) \
    F(T, fanin_refcount, 0) F(T, fanin_count, 4)
PTO2_ASSERT_LAYOUT(pto2_main_slot_state, PTO2_MAIN_SLOT_STATE_FIELDS, 8);

/* One consumed-ring entry. Writer: scheduler; freed at CONSUMED. */
typedef struct pto2_consumed_entry {
    uint64_t task_id;         /* a reference to this entry is checked against it */
    uint32_t state;           /* PTO2_TASK_... */
    uint32_t fanout_head;     /* edge reference, NONE or CLOSED */
    uint32_t fanout_count;    /* retaining consumers + 1 for the scope + 1 until */
                              /* RELEASED; one 64-bit atomic word with the next */
    uint32_t fanout_refcount; /* of these, how many are done */
    uint32_t scope_previous;  /* copied from the main slot */
    uint8_t flags;            /* PTO2_SLOT_..., copied from the main slot */
    uint8_t active_mask;      /* bit per subtask slot */
    uint8_t kills;            /* workers that died while running it */
    uint8_t crashes;          /* of these, of a signal it raised itself */
    uint64_t heap_end;        /* packed output end, free-running bytes */
    uint32_t outcome;         /* 0 = done, CANCELLED, or the code it FAILED with */
    uint32_t pool_end;        /* position after its dependency-pool entries */
    uint32_t block_count;     /* copied from the main slot */
    uint32_t blocks_started;  /* blocks of which an intent was recorded */
    uint32_t subtasks_left;   /* over all blocks, without FIN */
    uint32_t scope_ended;     /* 1 = the scope has given its reference back */
} pto2_consumed_entry;

#define PTO2_CONSUMED_ENTRY_FIELDS(F, T) \
    F(T, task_id, 0) F(T, state, 8) F(T, fanout_head, 12) F(T, fanout_count, 16) \
    F(T, fanout_refcount, 20) F(T, scope_previous, 24) F(T, flags, 28) F(T, active_mask, 29) \
    F(T, kills, 30) F(T, crashes, 31) F(T, heap_end, 32) F(T, outcome, 40) \
    F(T, pool_end, 44) F(T, block_count, 48) F(T, blocks_started, 52) \
    F(T, subtasks_left, 56) F(T, scope_ended, 60)
PTO2_ASSERT_LAYOUT(pto2_consumed_entry, PTO2_CONSUMED_ENTRY_FIELDS, 64);

/* A dependency-pool position holds two halves with two writers: the fanin
 * entry (orchestrator) and the fanout edge made from it (scheduler).
 * Fanin entry: a task id with PTO2_FANIN_... flags in its top bits. */
#define PTO2_FANIN_WAIT 0x8000000000000000ull
#define PTO2_FANIN_RETAIN 0x4000000000000000ull
#define PTO2_FANIN_DATA 0x2000000000000000ull /* without its result there is no task */
#define PTO2_FANIN_ID_MASK 0x00000007FFFFFFFFull

/* The edge, in its producer's list. Writer: scheduler. */
typedef struct pto2_fanout_edge {
    uint64_t consumer; /* task id the edge was made for */
    uint32_t next;     /* edge reference */
    uint32_t flags;    /* PTO2_EDGE_... */
} pto2_fanout_edge;

#define PTO2_FANOUT_EDGE_FIELDS(F, T) \
    F(T, consumer, 0) F(T, next, 8) F(T, flags, 12)
PTO2_ASSERT_LAYOUT(pto2_fanout_edge, PTO2_FANOUT_EDGE_FIELDS, 16);

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
    uint32_t ring;  /* of the task or the scope */
    uint32_t id;    /* local id of the task, or of the scope's last task */
    uint32_t count; /* scope end: tasks submitted directly in the scope */
} pto2_log_record;

#define PTO2_LOG_RECORD_FIELDS(F, T) \
    F(T, kind, 0) F(T, ring, 4) F(T, id, 8) F(T, count, 12)
PTO2_ASSERT_LAYOUT(pto2_log_record, PTO2_LOG_RECORD_FIELDS, 16);

#define PTO2_LOG_TASK 1u
#define PTO2_LOG_SCOPE_END 2u

/* First fault of one role. `code` is stored last, with release. */
#define PTO2_MESSAGE_BYTES 960
typedef struct pto2_error_block {
    uint32_t code;     /* (word) PTO2_ERROR_..., 0 = none; release: the rest */
    uint32_t ring;     /* all ones = about no ring */
    uint64_t task_id;  /* all ones = about no task */
    uint64_t needed;   /* bytes or items; 0 when not about a size */
    uint64_t available;
    uint64_t time_nanoseconds; /* CLOCK_MONOTONIC */
    uint32_t core;     /* all ones = about no core */
    uint32_t message_length;
    uint64_t reserved[2];
    char message[PTO2_MESSAGE_BYTES]; /* UTF-8, message_length bytes */
} pto2_error_block;

#define PTO2_ERROR_BLOCK_FIELDS(F, T) \
    F(T, code, 0) F(T, ring, 4) F(T, task_id, 8) F(T, needed, 16) F(T, available, 24) \
    F(T, time_nanoseconds, 32) F(T, core, 40) F(T, message_length, 44) F(T, reserved, 48) \
    F(T, message, 64)
PTO2_ASSERT_LAYOUT(pto2_error_block, PTO2_ERROR_BLOCK_FIELDS, 1024);

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

#define PTO2_PROCESS_RECORD_FIELDS(F, T) \
    F(T, pid, 0) F(T, incarnation, 4) F(T, start_time, 8) F(T, supervised, 16) \
    F(T, reserved, 20) F(T, heartbeat_nanoseconds, 24)
PTO2_ASSERT_LAYOUT(pto2_process_record, PTO2_PROCESS_RECORD_FIELDS, 32);

/* Per-ring words of the orchestrator. */
typedef struct pto2_orchestrator_ring {
    uint32_t current_task_index; /* (word) local id of the next task; for tools */
    uint32_t reserved[15];
} pto2_orchestrator_ring;

#define PTO2_ORCHESTRATOR_RING_FIELDS(F, T) \
    F(T, current_task_index, 0) F(T, reserved, 4)
PTO2_ASSERT_LAYOUT(pto2_orchestrator_ring, PTO2_ORCHESTRATOR_RING_FIELDS, 64);

/* The orchestrator's words, one section; each line has its own reason to be written. */
typedef struct pto2_orchestrator_page {
    uint32_t submitted; /* (word) log position; release: log, slots, descriptors */
    uint32_t reserved[15];
    uint32_t parked; /* (word) PTO2_PARKED_...: what is waited on, 0 = awake */
    uint32_t target; /* (word) position it is waited to reach */
    /* (word) the scheduler's `failed` as the run began: its failure records are counted
       from there; stored before the run's first submission */
    uint32_t failed_before;
    uint32_t reserved2[13];
    uint32_t control; /* (word) PTO2_CONTROL_...; waited on by everyone */
    uint32_t reserved3[15];
    pto2_process_record process;
    uint32_t reserved4[8];
    pto2_error_block error;
    uint32_t reserved5[64];
    pto2_orchestrator_ring rings[PTO2_MAX_RINGS];
} pto2_orchestrator_page;

#define PTO2_ORCHESTRATOR_PAGE_FIELDS(F, T) \
    F(T, submitted, 0) F(T, reserved, 4) F(T, parked, 64) F(T, target, 68) \
    F(T, failed_before, 72) F(T, reserved2, 76) F(T, control, 128) F(T, reserved3, 132) \
    F(T, process, 192) \
    F(T, reserved4, 224) F(T, error, 256) F(T, reserved5, 1280) F(T, rings, 1536)
PTO2_ASSERT_LAYOUT(pto2_orchestrator_page, PTO2_ORCHESTRATOR_PAGE_FIELDS, 2048);

#define PTO2_CONTROL_RUNNING 0u
#define PTO2_CONTROL_DONE 1u  /* program over, all consumed: leave cleanly */
#define PTO2_CONTROL_FATAL 2u /* the error block says why */

/* What the orchestrator's `parked` may name. */
#define PTO2_PARKED_ON_WIRED 1u
#define PTO2_PARKED_ON_RELEASED 16u /* + ring */
#define PTO2_PARKED_ON_CONSUMED 32u /* + ring */

/* The scheduler's `control`. */
#define PTO2_SCHED_ABSENT 0u
#define PTO2_SCHED_ATTACHED 1u
#define PTO2_SCHED_FATAL 2u
#define PTO2_SCHED_STOPPED 3u /* every core has left, counters are final */

/* What the scheduler counted; plain stores, exact once STOPPED. */
typedef struct pto2_scheduler_counters {
    uint64_t tasks_completed;
    uint64_t edges; /* fanout edges made */
    uint64_t subtasks_dispatched;
    uint64_t parks; /* times a thread slept */
    uint64_t lost_locks; /* try-locks that another scheduler thread had */
    uint64_t reserved[3];
    uint32_t peak_main[PTO2_MAX_RINGS]; /* most tasks between submit and RELEASED */
    uint32_t peak_consumed[PTO2_MAX_RINGS]; /* the same up to CONSUMED */
    uint32_t peak_dep_pool[PTO2_MAX_RINGS];
    uint32_t reserved2[8];
    uint64_t peak_heap_bytes[PTO2_MAX_RINGS];
} pto2_scheduler_counters;

#define PTO2_SCHEDULER_COUNTERS_FIELDS(F, T) \
    F(T, tasks_completed, 0) F(T, edges, 8) F(T, subtasks_dispatched, 16) F(T, parks, 24) \
    F(T, lost_locks, 32) F(T, reserved, 40) F(T, peak_main, 64) F(T, peak_consumed, 96) \
    F(T, peak_dep_pool, 128) F(T, reserved2, 160) F(T, peak_heap_bytes, 192)
PTO2_ASSERT_LAYOUT(pto2_scheduler_counters, PTO2_SCHEDULER_COUNTERS_FIELDS, 256);

/* A task that FAILED: a root cause, not an echo. */
typedef struct pto2_failure {
    uint64_t task_id;
    uint32_t core; /* on which its last attempt ended */
    uint32_t code; /* PTO2_ERROR_... */
    uint32_t kills; /* workers that died while running it */
    uint32_t flags; /* kernel id 31:16, PTO2_FAILURE_..., PTO2_SLOT_... of the task */
} pto2_failure;

#define PTO2_FAILURE_FIELDS(F, T) \
    F(T, task_id, 0) F(T, core, 8) F(T, code, 12) F(T, kills, 16) F(T, flags, 20)
PTO2_ASSERT_LAYOUT(pto2_failure, PTO2_FAILURE_FIELDS, 24);

#define PTO2_FAILURE_DEADLINE 0x100u /* killed because a kernel ran too long */
#define PTO2_FAILURE_STOPPED 0x200u  /* killed because it was stopped (SIGSTOP) */
#define PTO2_FAILURE_GARBAGE 0x400u  /* killed because of what stood in its COND words */

/* What did not end normally. Writer: scheduler; `failed` is released after the
 * record it counts, and before the task is RELEASED. */
#define PTO2_MAX_FAILURES 32 /* records; more are only counted */
typedef struct pto2_failures {
    uint32_t failed;    /* (word) tasks that FAILED; release: their records */
    uint32_t cancelled; /* (word) tasks that were CANCELLED */
    uint32_t lost;      /* (word) subtasks whose worker died, run again or not */
    uint32_t quarantined; /* (word) workers killed because of their COND words */
    pto2_failure first[PTO2_MAX_FAILURES];
} pto2_failures;

#define PTO2_FAILURES_FIELDS(F, T) \
    F(T, failed, 0) F(T, cancelled, 4) F(T, lost, 8) F(T, quarantined, 12) F(T, first, 16)
PTO2_ASSERT_LAYOUT(pto2_failures, PTO2_FAILURES_FIELDS, 784);

/* What the dispatcher is about to store to DATA_MAIN_BASE, for a scheduler that
 * comes after it. `target` is stored before the word, a slot's bit in `pending`
 * is cleared after it: so it can be told which words were stored. */
typedef struct pto2_intent {
    uint64_t task_id;
    uint64_t target;  /* the word 31:0, its core and lane 63:32; 0 = none yet */
    uint32_t pending; /* (word) block 31:3, subtask slots 2:0 */
    uint32_t reserved;
} pto2_intent;

#define PTO2_INTENT_FIELDS(F, T) \
    F(T, task_id, 0) F(T, target, 8) F(T, pending, 16) F(T, reserved, 20)
PTO2_ASSERT_LAYOUT(pto2_intent, PTO2_INTENT_FIELDS, 24);

/* A subtask whose worker has died, to run again. */
#define PTO2_MAX_LOST 960 /* every lane of every core */
typedef struct pto2_lost_subtask {
    uint64_t task_id;
    uint32_t subtask; /* (word) PTO2_LOST_USED, block 31:3 and slot 1:0; 0 = free place */
    uint32_t reserved;
} pto2_lost_subtask;

#define PTO2_LOST_SUBTASK_FIELDS(F, T) \
    F(T, task_id, 0) F(T, subtask, 8) F(T, reserved, 12)
PTO2_ASSERT_LAYOUT(pto2_lost_subtask, PTO2_LOST_SUBTASK_FIELDS, 16);

#define PTO2_LOST_USED 0x4u

/* Per-ring words of the scheduler: the two watermarks. */
typedef struct pto2_scheduler_ring {
    uint32_t released; /* (word) last_task_released: one past the RELEASED prefix */
    uint32_t consumed; /* (word) last_task_consumed: one past the CONSUMED prefix */
    uint32_t reserved[14];
} pto2_scheduler_ring;

#define PTO2_SCHEDULER_RING_FIELDS(F, T) \
    F(T, released, 0) F(T, consumed, 4) F(T, reserved, 8)
PTO2_ASSERT_LAYOUT(pto2_scheduler_ring, PTO2_SCHEDULER_RING_FIELDS, 64);

/* The scheduler's words, one section. What is said of its restart: docs/faults.md. */
typedef struct pto2_scheduler_page {
    uint32_t wired; /* (word) log position: records before it are wired */
    uint32_t ring_wired[PTO2_MAX_RINGS]; /* (word) local id of the ring's next task to wire;
                                            stored before `wired` passes the task */
    uint32_t reserved[7];
    uint32_t parked; /* (word) bit t: thread t sleeps; thread 0 waits for `submitted` */
    uint32_t reserved2[15];
    uint32_t control; /* (word) PTO2_SCHED_...; FATAL: see `error` */
    uint32_t reserved3[15];
    pto2_process_record process;
    uint32_t reserved4[8];
    pto2_error_block error;
    uint32_t reserved5[64];
    pto2_scheduler_ring rings[PTO2_MAX_RINGS];
    pto2_scheduler_counters counters;
    uint32_t reserved6[192];
    uint32_t admitted[PTO2_MAX_CORES]; /* (word) 1 while a READY worker is not fenced */
    uint32_t reserved7[136];
    uint32_t fenced[PTO2_MAX_CORES]; /* (word) READY value that is known to be gone */
    uint32_t reserved8[8];
    pto2_failures failures;
    uint32_t reserved9[76];
    pto2_intent intent;
    uint32_t reserved10[618];
    pto2_lost_subtask redo[PTO2_MAX_LOST];
    uint32_t reserved11[256];
} pto2_scheduler_page;

#define PTO2_SCHEDULER_PAGE_FIELDS(F, T) \
    F(T, wired, 0) F(T, ring_wired, 4) F(T, reserved, 36) F(T, parked, 64) \
    F(T, reserved2, 68) F(T, control, 128) F(T, reserved3, 132) F(T, process, 192) \
    F(T, reserved4, 224) F(T, error, 256) F(T, reserved5, 1280) F(T, rings, 1536) \
    F(T, counters, 2048) F(T, reserved6, 2304) F(T, admitted, 3072) F(T, reserved7, 3552) \
    F(T, fenced, 4096) F(T, reserved8, 4576) F(T, failures, 4608) F(T, reserved9, 5392) \
    F(T, intent, 5696) F(T, reserved10, 5720) F(T, redo, 8192) F(T, reserved11, 23552)
PTO2_ASSERT_LAYOUT(pto2_scheduler_page, PTO2_SCHEDULER_PAGE_FIELDS, 24576);

/* DATA_MAIN_BASE: one line a core. Writer: scheduler. */
typedef struct pto2_dispatch_line {
    uint32_t words[PTO2_MAX_LANES];  /* (word) one per lane */
    uint32_t blocks[PTO2_MAX_LANES]; /* SPMD block index; published by its word */
} pto2_dispatch_line;

#define PTO2_DISPATCH_LINE_FIELDS(F, T) \
    F(T, words, 0) F(T, blocks, 32)
PTO2_ASSERT_LAYOUT(pto2_dispatch_line, PTO2_DISPATCH_LINE_FIELDS, 64);

/* Written by a worker's signal handler when it crashes. */
typedef struct pto2_crash_record {
    uint32_t signal;  /* (word) released last; 0 = none */
    uint32_t code;    /* siginfo si_code */
    uint64_t address; /* siginfo si_addr */
    uint64_t offset;  /* of the address in the segment, or PTO2_CRASH_ELSEWHERE */
    uint32_t access;  /* PTO2_CRASH_... */
    uint32_t reserved;
} pto2_crash_record;

#define PTO2_CRASH_RECORD_FIELDS(F, T) \
    F(T, signal, 0) F(T, code, 4) F(T, address, 8) F(T, offset, 16) F(T, access, 24) \
    F(T, reserved, 28)
PTO2_ASSERT_LAYOUT(pto2_crash_record, PTO2_CRASH_RECORD_FIELDS, 32);

#define PTO2_CRASH_ELSEWHERE 0xFFFFFFFFFFFFFFFFull
#define PTO2_CRASH_ACCESS 0u /* what it was is not known */
#define PTO2_CRASH_LOAD 1u
#define PTO2_CRASH_STORE 2u
#define PTO2_CRASH_CALL 3u

/* Attempts of a task that may be run again. */
#define PTO2_MAX_KILLS 3   /* workers that died while running it, of anything */
#define PTO2_MAX_CRASHES 2 /* of these, by a signal it raised itself: poisoned */

/* What a worker counted on its core; plain stores, now and then. */
typedef struct pto2_core_counters {
    uint64_t kernels;              /* runs of a kernel */
    uint64_t timed_kernels;        /* of these, how many were timed */
    uint64_t timed_nanoseconds;    /* in those */
    uint64_t parks;                /* times it slept */
} pto2_core_counters;

#define PTO2_CORE_COUNTERS_FIELDS(F, T) \
    F(T, kernels, 0) F(T, timed_kernels, 8) F(T, timed_nanoseconds, 16) F(T, parks, 24)
PTO2_ASSERT_LAYOUT(pto2_core_counters, PTO2_CORE_COUNTERS_FIELDS, 32);

/* One page a core. Writer: the worker hosting that core. */
typedef struct pto2_core_page {
    uint32_t cond[PTO2_MAX_LANES]; /* (word) COND, one per lane */
    uint32_t reserved[8];
    uint32_t parked; /* (word) 1 = asleep on its next DATA_MAIN_BASE lane */
    uint32_t reserved2[15];
    uint32_t ready; /* (word) incarnation once READY, 0 before */
    uint32_t reserved3[15];
    pto2_process_record process;
    uint32_t reserved4[8];
    pto2_error_block error;
    uint32_t reserved5[64];
    pto2_core_counters counters;
    uint32_t reserved6[56];
    pto2_crash_record crash; /* of the worker before, or of this one */
    uint32_t reserved7[56];
} pto2_core_page;

#define PTO2_CORE_PAGE_FIELDS(F, T) \
    F(T, cond, 0) F(T, reserved, 32) F(T, parked, 64) F(T, reserved2, 68) F(T, ready, 128) \
    F(T, reserved3, 132) F(T, process, 192) F(T, reserved4, 224) F(T, error, 256) \
    F(T, reserved5, 1280) F(T, counters, 1536) F(T, reserved6, 1568) F(T, crash, 1792) \
    F(T, reserved7, 1824)
PTO2_ASSERT_LAYOUT(pto2_core_page, PTO2_CORE_PAGE_FIELDS, 2048);

/* A kernel image every process must load. Writer: orchestrator, before magic. */
#define PTO2_PATH_BYTES 1024
#define PTO2_IDENTITY_BYTES 32
typedef struct pto2_image_record {
    uint32_t identity_length;  /* bytes of identity */
    uint32_t kernel_count;     /* in its table */
    uint64_t table_hash;       /* of names, core types and offsets */
    uint8_t identity[PTO2_IDENTITY_BYTES]; /* GNU build id, or FNV-1a of the file */
    char path[PTO2_PATH_BYTES];            /* absolute, NUL-terminated */
} pto2_image_record;

#define PTO2_IMAGE_RECORD_FIELDS(F, T) \
    F(T, identity_length, 0) F(T, kernel_count, 4) F(T, table_hash, 8) F(T, identity, 16) \
    F(T, path, 48)
PTO2_ASSERT_LAYOUT(pto2_image_record, PTO2_IMAGE_RECORD_FIELDS, 1072);

/* Kernel names by kernel id, for messages and tools. */
#define PTO2_KERNEL_NAME_BYTES 48
typedef struct pto2_kernel_record {
    uint32_t name_length; /* bytes of name */
    uint32_t reserved[3];
    char name[PTO2_KERNEL_NAME_BYTES];
} pto2_kernel_record;

#define PTO2_KERNEL_RECORD_FIELDS(F, T) \
    F(T, name_length, 0) F(T, reserved, 4) F(T, name, 16)
PTO2_ASSERT_LAYOUT(pto2_kernel_record, PTO2_KERNEL_RECORD_FIELDS, 64);

/* One section of the segment. */
typedef struct pto2_section {
    uint32_t kind;   /* PTO2_SECTION_... */
    uint32_t index;  /* ring, or 0 */
    uint64_t offset; /* page-aligned */
    uint64_t bytes;  /* whole pages */
    uint32_t writer; /* PTO2_ROLE_... bits */
    uint32_t reserved;
} pto2_section;

#define PTO2_SECTION_FIELDS(F, T) \
    F(T, kind, 0) F(T, index, 4) F(T, offset, 8) F(T, bytes, 16) F(T, writer, 24) \
    F(T, reserved, 28)
PTO2_ASSERT_LAYOUT(pto2_section, PTO2_SECTION_FIELDS, 32);

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

#define PTO2_DISPATCH_INIT_INFO_FIELDS(F, T) \
    F(T, dispatch_base, 0)
PTO2_ASSERT_LAYOUT(PTO2DispatchInitInfo, PTO2_DISPATCH_INIT_INFO_FIELDS, 8);

/* The configuration of a session; everything the layout is computed from. */
typedef struct pto2_configuration {
    uint32_t rings;
    uint32_t clusters;         /* of one AIC and two AIVs */
    uint32_t lanes;            /* dispatches that a core may hold */
    uint32_t scheduler_threads;
    uint32_t log_capacity;
    uint32_t first_position;   /* where every free-running counter starts */
    uint32_t image_count;
    uint32_t kernel_count;
    uint32_t attach_timeout_milliseconds;
    uint32_t stall_limit_milliseconds; /* 0 = none */
    uint64_t arena_bytes;  /* for tensors of the program */
    uint32_t task_window[PTO2_MAX_RINGS];     /* tasks from submit to RELEASED */
    uint32_t consumed_window[PTO2_MAX_RINGS]; /* tasks from submit to CONSUMED */
    uint32_t dep_pool[PTO2_MAX_RINGS];        /* fanin entries, and fanout edges */
    uint64_t heap_bytes[PTO2_MAX_RINGS];      /* for outputs */
    uint32_t offset_limit; /* largest offset field, at most PTO2_WORD_OFFSET_MAX */
    uint32_t kernel_deadline_milliseconds; /* 0 = none */
    uint32_t stop_grace_milliseconds; /* of a stopped process; 0 = for ever */
    uint32_t flags;                   /* PTO2_SESSION_... */
} pto2_configuration;

#define PTO2_CONFIGURATION_FIELDS(F, T) \
    F(T, rings, 0) F(T, clusters, 4) F(T, lanes, 8) F(T, scheduler_threads, 12) \
    F(T, log_capacity, 16) F(T, first_position, 20) F(T, image_count, 24) \
    F(T, kernel_count, 28) F(T, attach_timeout_milliseconds, 32) \
    F(T, stall_limit_milliseconds, 36) F(T, arena_bytes, 40) F(T, task_window, 48) \
    F(T, consumed_window, 80) F(T, dep_pool, 112) F(T, heap_bytes, 144) \
    F(T, offset_limit, 208) F(T, kernel_deadline_milliseconds, 212) \
    F(T, stop_grace_milliseconds, 216) F(T, flags, 220)
PTO2_ASSERT_LAYOUT(pto2_configuration, PTO2_CONFIGURATION_FIELDS, 224);

#define PTO2_SESSION_QUIET 0x1u /* no warnings on standard error */
#define PTO2_SESSION_DRAIN 0x2u /* what is published is done even if the orchestrator dies */

/* Start of the segment. Writer: orchestrator, then nobody. */
typedef struct pto2_header {
    uint64_t magic; /* (word) release: everything in this header */
    uint32_t segment_major; /* another one is refused */
    uint32_t segment_minor;
    uint64_t layout_hash; /* of every field of every record, and of the sections */
    uint64_t total_bytes;
    uint32_t page_bytes;
    uint32_t creator_pid; /* the orchestrator's */
    uint64_t creator_start_time; /* field 22 of /proc/PID/stat */
    uint8_t boot_id[16]; /* a sweep removes nothing of another boot */
    PTO2DispatchInitInfo dispatch;
    uint32_t section_count;
    uint32_t reserved;
    pto2_configuration configuration;
    pto2_section sections[PTO2_MAX_SECTIONS];
} pto2_header;

#define PTO2_HEADER_FIELDS(F, T) \
    F(T, magic, 0) F(T, segment_major, 8) F(T, segment_minor, 12) F(T, layout_hash, 16) \
    F(T, total_bytes, 24) F(T, page_bytes, 32) F(T, creator_pid, 36) \
    F(T, creator_start_time, 40) F(T, boot_id, 48) F(T, dispatch, 64) \
    F(T, section_count, 72) F(T, reserved, 76) F(T, configuration, 80) F(T, sections, 304)
PTO2_ASSERT_LAYOUT(pto2_header, PTO2_HEADER_FIELDS, 3376);

/* TEMPORARY offsets, until every user goes through the views of PTO2Protocol. */
#define PTO2_ORCH_SUBMITTED 0
#define PTO2_ORCH_PARKED 64
#define PTO2_ORCH_TARGET 68
#define PTO2_ORCH_CONTROL 128
#define PTO2_ORCH_PROCESS 192
#define PTO2_ORCH_ERROR 256
#define PTO2_ORCH_RINGS 1536
#define PTO2_ORCH_BYTES 2048
#define PTO2_SCHED_WIRED 0
#define PTO2_SCHED_RING_WIRED 4
#define PTO2_SCHED_PARKED 64
#define PTO2_SCHED_CONTROL 128
#define PTO2_SCHED_PROCESS 192
#define PTO2_SCHED_ERROR 256
#define PTO2_SCHED_RINGS 1536
#define PTO2_SCHED_RELEASED 0
#define PTO2_SCHED_CONSUMED 4
#define PTO2_SCHED_COUNTERS 2048
#define PTO2_SCHED_ADMITTED 3072
#define PTO2_SCHED_FENCED 4096
#define PTO2_SCHED_FAILURES 4608
#define PTO2_SCHED_INTENT 5696
#define PTO2_SCHED_REDO 8192
#define PTO2_SCHED_BYTES 24576
#define PTO2_CORE_COND 0
#define PTO2_CORE_PARKED 64
#define PTO2_CORE_READY 128
#define PTO2_CORE_PROCESS 192
#define PTO2_CORE_ERROR 256
#define PTO2_CORE_COUNTERS 1536
#define PTO2_CORE_CRASH 1792
#define PTO2_CORE_BYTES 2048
#define PTO2_SLOT_PREDICATE_AT 2112
#define PTO2_MAIN_SLOT_STRIDE 2176

/* Every record, for layout.c. */
#define PTO2_RECORDS(R) \
    R(pto2_tensor, PTO2_TENSOR_FIELDS) \
    R(PTO2DispatchDesc, PTO2_DISPATCH_DESC_FIELDS) \
    R(pto2_main_slot, PTO2_MAIN_SLOT_FIELDS) \
    R(pto2_slot_predicate, PTO2_SLOT_PREDICATE_FIELDS) \
    R(pto2_main_record, PTO2_MAIN_RECORD_FIELDS) \
    R(pto2_main_slot_state, PTO2_MAIN_SLOT_STATE_FIELDS) \
    R(pto2_consumed_entry, PTO2_CONSUMED_ENTRY_FIELDS) \
    R(pto2_fanout_edge, PTO2_FANOUT_EDGE_FIELDS) \
    R(pto2_log_record, PTO2_LOG_RECORD_FIELDS) \
    R(pto2_error_block, PTO2_ERROR_BLOCK_FIELDS) \
    R(pto2_process_record, PTO2_PROCESS_RECORD_FIELDS) \
    R(pto2_orchestrator_ring, PTO2_ORCHESTRATOR_RING_FIELDS) \
    R(pto2_orchestrator_page, PTO2_ORCHESTRATOR_PAGE_FIELDS) \
    R(pto2_scheduler_counters, PTO2_SCHEDULER_COUNTERS_FIELDS) \
    R(pto2_failure, PTO2_FAILURE_FIELDS) \
    R(pto2_failures, PTO2_FAILURES_FIELDS) \
    R(pto2_intent, PTO2_INTENT_FIELDS) \
    R(pto2_lost_subtask, PTO2_LOST_SUBTASK_FIELDS) \
    R(pto2_scheduler_ring, PTO2_SCHEDULER_RING_FIELDS) \
    R(pto2_scheduler_page, PTO2_SCHEDULER_PAGE_FIELDS) \
    R(pto2_dispatch_line, PTO2_DISPATCH_LINE_FIELDS) \
    R(pto2_crash_record, PTO2_CRASH_RECORD_FIELDS) \
    R(pto2_core_counters, PTO2_CORE_COUNTERS_FIELDS) \
    R(pto2_core_page, PTO2_CORE_PAGE_FIELDS) \
    R(pto2_image_record, PTO2_IMAGE_RECORD_FIELDS) \
    R(pto2_kernel_record, PTO2_KERNEL_RECORD_FIELDS) \
    R(pto2_section, PTO2_SECTION_FIELDS) \
    R(PTO2DispatchInitInfo, PTO2_DISPATCH_INIT_INFO_FIELDS) \
    R(pto2_configuration, PTO2_CONFIGURATION_FIELDS) \
    R(pto2_header, PTO2_HEADER_FIELDS)

/* One field as layout.c tells of it. */
typedef struct pto2_layout_field {
    const char *record;
    const char *name;
    uint32_t offset; /* bytes from the start of the record */
    uint32_t bytes;
    uint32_t record_bytes;
} pto2_layout_field;

/* The fields of all records, in the order of PTO2_RECORDS and of their offsets. */
const pto2_layout_field *pto2_layout_fields(uint32_t *count);

/* FNV-1a over every record's and field's name, offset and size, and over the limits
 * that strides depend on: differs whenever two builds disagree on any of them. */
uint64_t pto2_layout_hash(void);

#endif
