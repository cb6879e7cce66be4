/* What rings, pools and the log are made of: part of pto2_segment.h, whose rules hold
 * here. */
#ifndef PTO2_RECORDS_H
#define PTO2_RECORDS_H

#include "pto2_words.h"

/* What a core reads to run a subtask: proposal 326's PTO2DispatchDesc, one cache line.
 * Writer: orchestrator, at submit; published by the `submitted` word.
 *
 * A function_bin_addr is equal in every process. 0 = inactive; otherwise
 *   63:56 image index + 1 | 55 SPMD | 54 snapshot | 53:48 tensors |
 *   47:40 scalars | 39:0 byte offset of the function from its image's load base.
 * args[]: tensors first (segment offset of the first element), then scalars; a task with
 * more than PTO2_INLINE_ARGS of both has all of them in its payload. */
#define PTO2_INLINE_ARGS 4
typedef struct PTO2DispatchDesc {
    uint64_t function_bin_addrs[PTO2_SLOTS]; /* calls of AIC, AIV0 and AIV1 */
    uint64_t args[PTO2_INLINE_ARGS];         /* tensors, then scalars */
    uint64_t payload;                        /* segment offset of the task's payload */
} PTO2DispatchDesc;

#define PTO2_DISPATCH_DESC_FIELDS(F, T) \
    F(T, function_bin_addrs, 0) F(T, args, 24) F(T, payload, 56)
PTO2_ASSERT_LAYOUT(PTO2DispatchDesc, PTO2_DISPATCH_DESC_FIELDS, PTO2_CACHE_LINE);

/* The payload of a task, in the ring of bytes of its depth: as many tensor records as the
 * task has; its arguments, if the descriptor has no room for them; its predicate, if it
 * has one. Each part begins on a cache line. Writer: orchestrator, at submit; published by
 * `submitted`; freed at RELEASED. */
#define PTO2_PAYLOAD_BYTES_PER_SLOT 512 /* of the ring, for each main slot */
#define PTO2_PAYLOAD_BYTES_LEAST 4096   /* room for the largest payload */
PTO2_STATIC_ASSERT(PTO2_MAX_TENSORS * sizeof(pto2_tensor) + 8 * PTO2_MAX_ARGS
                   + 2 * PTO2_CACHE_LINE <= PTO2_PAYLOAD_BYTES_LEAST, "every payload fits");
PTO2_STATIC_ASSERT(PTO2_MAX_TENSORS < 1 << 6, "the call word's field holds the count");
PTO2_STATIC_ASSERT(PTO2_MAX_ARGS == PTO2_MAX_TENSORS + PTO2_MAX_SCALARS, "unified args");

#define PTO2_CALL_IMAGE_SHIFT 56
#define PTO2_CALL_SPMD 0x0080000000000000ull
#define PTO2_CALL_SNAPSHOT 0x0040000000000000ull
#define PTO2_CALL_TENSORS_SHIFT 48
#define PTO2_CALL_SCALARS_SHIFT 40
#define PTO2_CALL_OFFSET_MASK 0x000000FFFFFFFFFFull

/* A main-ring slot.
 * Writer: orchestrator; published by `submitted`; freed at RELEASED. */
typedef struct pto2_main_slot {
    uint64_t task_id;        /* ring 63:32, local id 31:0 */
    uint32_t fanin_first;    /* position in this ring's dependency pool */
    uint32_t fanin_count;    /* entries from there on */
    uint32_t scope_previous; /* local id of the task that the scope holds before this one */
    uint8_t active_mask;     /* bit per subtask slot; 0 = dummy */
    uint8_t flags;           /* PTO2_SLOT_... */
    uint8_t tensor_count;    /* of the payload's tensors */
    uint8_t scalar_count;
    uint16_t kernel_ids[PTO2_SLOTS]; /* index into the kernel names; for people */
    uint16_t scope;          /* its own name, or its scope's 15:7, 0 = none; depth 6:0 */
    uint32_t blocks;         /* SPMD blocks 23:0, 1 for any other task; near which */
                             /* cluster, + 1, 31:24, 0 = none */
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
    F(T, kernel_ids, 24) F(T, scope, 30) F(T, blocks, 32) F(T, snapshot_line, 36) \
    F(T, output_offset, 40) F(T, heap_begin, 48) F(T, heap_end, 56)
PTO2_ASSERT_LAYOUT(pto2_main_slot, PTO2_MAIN_SLOT_FIELDS, 64);

#define PTO2_BLOCK_COUNT_MASK 0x00FFFFFFu
#define PTO2_BLOCKS_NEAR_SHIFT 24
PTO2_STATIC_ASSERT(PTO2_MAX_CLUSTERS < 1 << (32 - PTO2_BLOCKS_NEAR_SHIFT),
                   "the field names every cluster");

#define PTO2_SCOPE_NAME_SHIFT 7
#define PTO2_SCOPE_DEPTH_MASK 0x7Fu
#define PTO2_MAX_SCOPE_NAMES 511 /* of a session; 0 is none */
PTO2_STATIC_ASSERT(PTO2_MAX_SCOPE_DEPTH <= PTO2_SCOPE_DEPTH_MASK, "the field holds every depth");
PTO2_STATIC_ASSERT(PTO2_MAX_SCOPE_NAMES < 1 << (16 - PTO2_SCOPE_NAME_SHIFT), "and every name");

#define PTO2_SLOT_PREDICATE 0x01  /* the payload has a predicate */
#define PTO2_SLOT_SYNC_START 0x02 /* all blocks start together */
#define PTO2_SLOT_RERUN 0x04      /* running it twice gives the same: see recovery */
#define PTO2_SLOT_CANCELLED 0x08  /* depends on a task that failed before: not to run */
#define PTO2_SLOT_SNAPSHOT 0x10   /* has a snapshot; so says its call word */
#define PTO2_SLOT_HELD 0x20       /* has outputs: its scope holds it until it ends */
#define PTO2_SLOT_TRANSFER 0x40   /* no kernel: the link sends or receives, see its records */

/* The snapshot of a task's INOUT tensors, behind its outputs in the heap: one cache
 * line whose first word says whether it is taken; then each such tensor in order of
 * the arguments, its elements in index order without gaps, from a cache line on.
 * Writer: the worker that runs the task, before its ACK; the orchestrator stores
 * EMPTY before it publishes the task. */
#define PTO2_SNAPSHOT_EMPTY 0u
#define PTO2_SNAPSHOT_TAKEN 1u /* (word) release: the elements */
#define PTO2_SNAPSHOT_ELEMENTS 64

/* The predicate of a task, in its payload. */
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
    uint32_t fanout_count;    /* retaining consumers + 1 for the scope, if HELD, + 1 */
                              /* until RELEASED; one 64-bit atomic word with the next */
    uint32_t fanout_refcount; /* of these, how many are done */
    uint32_t scope_previous;  /* copied from the main slot */
    uint8_t flags;            /* PTO2_SLOT_..., copied from the main slot */
    uint8_t active_mask;      /* bit per subtask slot */
    uint8_t kills;            /* workers that died while running it */
    uint8_t crashes;          /* of these, of a signal it raised itself */
    uint64_t heap_end;        /* packed output end, free-running bytes */
    uint32_t outcome;         /* 0 = done, CANCELLED, or the code it FAILED with */
    uint32_t pool_end;        /* position after its dependency-pool entries */
    uint32_t blocks;          /* copied from the main slot */
    uint32_t blocks_started;  /* blocks of which an intent was recorded */
    uint32_t subtasks_left;   /* over all blocks, without FIN */
    uint32_t scope_ended;     /* 1 = the scope has given its reference back */
} pto2_consumed_entry;

#define PTO2_CONSUMED_ENTRY_FIELDS(F, T) \
    F(T, task_id, 0) F(T, state, 8) F(T, fanout_head, 12) F(T, fanout_count, 16) \
    F(T, fanout_refcount, 20) F(T, scope_previous, 24) F(T, flags, 28) F(T, active_mask, 29) \
    F(T, kills, 30) F(T, crashes, 31) F(T, heap_end, 32) F(T, outcome, 40) \
    F(T, pool_end, 44) F(T, blocks, 48) F(T, blocks_started, 52) \
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
    uint32_t id;    /* local id of the task, or of the last one that the scope holds */
    uint32_t count; /* scope end: tasks that the scope holds */
} pto2_log_record;

#define PTO2_LOG_RECORD_FIELDS(F, T) \
    F(T, kind, 0) F(T, ring, 4) F(T, id, 8) F(T, count, 12)
PTO2_ASSERT_LAYOUT(pto2_log_record, PTO2_LOG_RECORD_FIELDS, 16);

#define PTO2_LOG_TASK 1u
#define PTO2_LOG_SCOPE_END 2u

#endif
