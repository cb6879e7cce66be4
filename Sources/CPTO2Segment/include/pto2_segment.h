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

#include "pto2_scope_records.h"
#include "pto2_trace_records.h"
#include "pto2_link_records.h"

/* ---- identity ----------------------------------------------------------- */

#define PTO2_MAGIC 0x31474553324F5450ull /* "PTO2SEG1", published last */
/* The segment's own version, apart from those of the kernel and program tables. */
#define PTO2_SEGMENT_MAJOR 2
#define PTO2_SEGMENT_MINOR 0

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
#define PTO2_ROLE_LINK 8u

#define PTO2_SECTION_HEADER 0u
#define PTO2_SECTION_IMAGES 1u
#define PTO2_SECTION_KERNELS 2u
#define PTO2_SECTION_ORCHESTRATOR 3u
#define PTO2_SECTION_LOG 4u
#define PTO2_SECTION_MAIN_RING 5u
#define PTO2_SECTION_DISPATCH_TABLE 6u
#define PTO2_SECTION_PAYLOAD 7u
#define PTO2_SECTION_FANIN 8u
#define PTO2_SECTION_SCHEDULER 9u
#define PTO2_SECTION_DATA_MAIN_BASE 10u
#define PTO2_SECTION_CONSUMED_RING 11u
#define PTO2_SECTION_SLOT_STATES 12u
#define PTO2_SECTION_FANOUT 13u
#define PTO2_SECTION_CORES 14u
#define PTO2_SECTION_TRACE_POSITIONS 15u
#define PTO2_SECTION_ORCHESTRATOR_TRACE 16u
#define PTO2_SECTION_SCHEDULER_TRACE 17u
#define PTO2_SECTION_CORE_TRACE 18u
#define PTO2_SECTION_SCOPE_NAMES 19u
#define PTO2_SECTION_SCOPE_USES 20u
#define PTO2_SECTION_RANK 21u
#define PTO2_SECTION_SUBMISSIONS 22u
#define PTO2_SECTION_TRANSFER_STARTS 23u
#define PTO2_SECTION_LINK 24u
#define PTO2_SECTION_TRANSFER_ENDS 25u
#define PTO2_SECTION_CONSTANTS 26u
#define PTO2_SECTION_HEAP 27u
#define PTO2_SECTION_ARENA 28u
#define PTO2_SECTION_KINDS 29u

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
    uint64_t trace_bytes; /* of each trace buffer; 0 = nothing is traced */
    uint64_t constant_bytes; /* of the session, for all kernels */
    uint32_t rank;  /* which of the sessions that run one program this is */
    uint32_t ranks; /* so many there are; 1 = no link, and no section for one */
} pto2_configuration;

#define PTO2_CONFIGURATION_FIELDS(F, T) \
    F(T, rings, 0) F(T, clusters, 4) F(T, lanes, 8) F(T, scheduler_threads, 12) \
    F(T, log_capacity, 16) F(T, first_position, 20) F(T, image_count, 24) \
    F(T, kernel_count, 28) F(T, attach_timeout_milliseconds, 32) \
    F(T, stall_limit_milliseconds, 36) F(T, arena_bytes, 40) F(T, task_window, 48) \
    F(T, consumed_window, 80) F(T, dep_pool, 112) F(T, heap_bytes, 144) \
    F(T, offset_limit, 208) F(T, kernel_deadline_milliseconds, 212) \
    F(T, stop_grace_milliseconds, 216) F(T, flags, 220) F(T, trace_bytes, 224) \
    F(T, constant_bytes, 232) F(T, rank, 240) F(T, ranks, 244)
PTO2_ASSERT_LAYOUT(pto2_configuration, PTO2_CONFIGURATION_FIELDS, 248);

#define PTO2_SESSION_QUIET 0x1u /* no warnings on standard error */
#define PTO2_SESSION_DRAIN 0x2u /* what is published is done even if the orchestrator dies */
#define PTO2_SESSION_NO_AHEAD 0x4u /* no dispatch before every producer is COMPLETED */
#define PTO2_SESSION_NO_MOVES 0x8u /* cores leave it to Linux on which CPU they run */
#define PTO2_SESSION_CONFINE 0x10u /* workers give up what kernels could harm the session with */
#define PTO2_SESSION_TRACE_EDGES 0x20u /* the trace has every dependency */

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
    F(T, section_count, 72) F(T, reserved, 76) F(T, configuration, 80) F(T, sections, 328)
PTO2_ASSERT_LAYOUT(pto2_header, PTO2_HEADER_FIELDS, 3400);

/* "PTO2MADE", the last word of the first 4096 bytes: there from the moment the object has
 * its name, so that one without a magic is known for pto2's, whose creator has died. */
#define PTO2_CREATION_MARK 0x4544414D324F5450u
#define PTO2_CREATION_MARK_OFFSET 4088u
_Static_assert(sizeof(pto2_header) <= PTO2_CREATION_MARK_OFFSET, "the mark is behind the header");

/* Every record, for layout.c. */
#define PTO2_RECORDS(R) \
    R(pto2_tensor, PTO2_TENSOR_FIELDS) \
    R(PTO2DispatchDesc, PTO2_DISPATCH_DESC_FIELDS) \
    R(pto2_main_slot, PTO2_MAIN_SLOT_FIELDS) \
    R(pto2_slot_predicate, PTO2_SLOT_PREDICATE_FIELDS) \
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
    R(pto2_gate, PTO2_GATE_FIELDS) \
    R(pto2_lane, PTO2_LANE_FIELDS) \
    R(pto2_dispatch_lanes, PTO2_DISPATCH_LANES_FIELDS) \
    R(pto2_crash_record, PTO2_CRASH_RECORD_FIELDS) \
    R(pto2_core_counters, PTO2_CORE_COUNTERS_FIELDS) \
    R(pto2_core_page, PTO2_CORE_PAGE_FIELDS) \
    R(pto2_scope_name, PTO2_SCOPE_NAME_FIELDS) \
    R(pto2_scope_use, PTO2_SCOPE_USE_FIELDS) \
    R(pto2_trace_positions, PTO2_TRACE_POSITIONS_FIELDS) \
    R(pto2_trace_head, PTO2_TRACE_HEAD_FIELDS) \
    R(pto2_trace_record, PTO2_TRACE_RECORD_FIELDS) \
    R(pto2_transfer_start, PTO2_TRANSFER_START_FIELDS) \
    R(pto2_transfer_end, PTO2_TRANSFER_END_FIELDS) \
    R(pto2_meeting, PTO2_MEETING_FIELDS) \
    R(pto2_submitted_task, PTO2_SUBMITTED_TASK_FIELDS) \
    R(pto2_rank_page, PTO2_RANK_PAGE_FIELDS) \
    R(pto2_link_traffic, PTO2_LINK_TRAFFIC_FIELDS) \
    R(pto2_link_page, PTO2_LINK_PAGE_FIELDS) \
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
