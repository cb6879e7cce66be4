/* Every size and offset of pto2_abi.h, asserted. The numbers are the ABI: one
 * that changes needs a new PTO2_ABI_MAJOR. A Swift test reads them again. */
#include "pto2_abi.h"
#include "pto2_kernel.h"
#include "pto2_program.h"

#define PTO2_AT(type, field, at) \
    _Static_assert(offsetof(type, field) == (at), #type "." #field)
#define PTO2_SIZE(type, size) _Static_assert(sizeof(type) == (size), #type)

PTO2_SIZE(pto2_tensor, 64);
PTO2_AT(pto2_tensor, offset, 0);
PTO2_AT(pto2_tensor, shape, 8);
PTO2_AT(pto2_tensor, strides, 28);
PTO2_AT(pto2_tensor, dtype, 48);
PTO2_AT(pto2_tensor, rank, 49);
PTO2_AT(pto2_tensor, access, 50);
PTO2_AT(pto2_tensor, element_count, 52);

PTO2_SIZE(PTO2DispatchDesc, 408);
PTO2_AT(PTO2DispatchDesc, function_bin_addrs, 0);
PTO2_AT(PTO2DispatchDesc, args, 24);
_Static_assert(PTO2_DESC_STRIDE % PTO2_CACHE_LINE == 0, "descriptors start on lines");
_Static_assert(PTO2_DESC_STRIDE >= sizeof(PTO2DispatchDesc), "a descriptor fits");
_Static_assert(PTO2_MAX_TENSORS < 1 << 6, "the call word's field holds the count");
_Static_assert(PTO2_MAX_ARGS == PTO2_MAX_TENSORS + PTO2_MAX_SCALARS, "unified args");

PTO2_SIZE(pto2_main_slot, 64);
_Static_assert(PTO2_SLOT_PREDICATE_AT == 64 + 64 * PTO2_MAX_TENSORS, "after the tensors");
_Static_assert(PTO2_MAIN_SLOT_STRIDE == PTO2_SLOT_PREDICATE_AT + 64, "whole lines");
PTO2_SIZE(pto2_slot_predicate, 24);
PTO2_AT(pto2_slot_predicate, dtype, 16);
PTO2_AT(pto2_slot_predicate, comparison, 17);
PTO2_AT(pto2_main_slot, flags, 21);
PTO2_AT(pto2_main_slot, task_id, 0);
PTO2_AT(pto2_main_slot, fanin_first, 8);
PTO2_AT(pto2_main_slot, fanin_count, 12);
PTO2_AT(pto2_main_slot, scope_previous, 16);
PTO2_AT(pto2_main_slot, active_mask, 20);
PTO2_AT(pto2_main_slot, tensor_count, 22);
PTO2_AT(pto2_main_slot, scalar_count, 23);
PTO2_AT(pto2_main_slot, kernel_ids, 24);
PTO2_AT(pto2_main_slot, scope_depth, 30);
PTO2_AT(pto2_main_slot, block_count, 32);
PTO2_AT(pto2_main_slot, snapshot_line, 36);
PTO2_AT(pto2_main_slot, output_offset, 40);
PTO2_AT(pto2_main_slot, heap_begin, 48);
PTO2_AT(pto2_main_slot, heap_end, 56);

PTO2_SIZE(pto2_main_slot_state, 8);
PTO2_AT(pto2_main_slot_state, fanin_refcount, 0);
PTO2_AT(pto2_main_slot_state, fanin_count, 4);

PTO2_SIZE(pto2_consumed_entry, 64);
PTO2_AT(pto2_consumed_entry, task_id, 0);
PTO2_AT(pto2_consumed_entry, state, 8);
PTO2_AT(pto2_consumed_entry, fanout_head, 12);
PTO2_AT(pto2_consumed_entry, fanout_count, 16);
PTO2_AT(pto2_consumed_entry, fanout_refcount, 20);
PTO2_AT(pto2_consumed_entry, scope_previous, 24);
PTO2_AT(pto2_consumed_entry, flags, 28);
PTO2_AT(pto2_consumed_entry, active_mask, 29);
PTO2_AT(pto2_consumed_entry, block_count, 48);
PTO2_AT(pto2_consumed_entry, blocks_started, 52);
PTO2_AT(pto2_consumed_entry, subtasks_left, 56);
PTO2_AT(pto2_consumed_entry, heap_end, 32);
PTO2_AT(pto2_consumed_entry, outcome, 40);
PTO2_AT(pto2_consumed_entry, pool_end, 44);
PTO2_AT(pto2_consumed_entry, scope_ended, 60);

PTO2_SIZE(pto2_fanout_edge, 16);
PTO2_AT(pto2_fanout_edge, consumer, 0);
PTO2_AT(pto2_fanout_edge, next, 8);
PTO2_AT(pto2_fanout_edge, flags, 12);
_Static_assert(PTO2_DEP_POOL_MAX <= PTO2_EDGE_INDEX_MASK, "NONE and CLOSED are no edges");

PTO2_SIZE(pto2_log_record, 16);
PTO2_AT(pto2_log_record, kind, 0);
PTO2_AT(pto2_log_record, ring, 4);
PTO2_AT(pto2_log_record, id, 8);
PTO2_AT(pto2_log_record, count, 12);

PTO2_SIZE(pto2_error_block, 1024);
PTO2_AT(pto2_error_block, code, 0);
PTO2_AT(pto2_error_block, ring, 4);
PTO2_AT(pto2_error_block, task_id, 8);
PTO2_AT(pto2_error_block, needed, 16);
PTO2_AT(pto2_error_block, available, 24);
PTO2_AT(pto2_error_block, time_nanoseconds, 32);
PTO2_AT(pto2_error_block, core, 40);
PTO2_AT(pto2_error_block, message_length, 44);
PTO2_AT(pto2_error_block, message, 64);

PTO2_SIZE(pto2_process_record, 32);
PTO2_AT(pto2_process_record, pid, 0);
PTO2_AT(pto2_process_record, incarnation, 4);
PTO2_AT(pto2_process_record, start_time, 8);
PTO2_AT(pto2_process_record, supervised, 16);
PTO2_AT(pto2_process_record, heartbeat_nanoseconds, 24);

_Static_assert(PTO2_ORCH_ERROR + sizeof(pto2_error_block) <= PTO2_ORCH_RINGS, "fits");
_Static_assert(PTO2_ORCH_RINGS + 64 * PTO2_MAX_RINGS <= PTO2_ORCH_BYTES, "fits");
_Static_assert(PTO2_SCHED_ERROR + sizeof(pto2_error_block) <= PTO2_SCHED_RINGS, "fits");
_Static_assert(PTO2_SCHED_RINGS + 64 * PTO2_MAX_RINGS <= PTO2_SCHED_COUNTERS, "fits");
_Static_assert(PTO2_CORE_ERROR + sizeof(pto2_error_block) <= PTO2_CORE_COUNTERS, "fits");

PTO2_SIZE(pto2_scheduler_counters, 256);
PTO2_AT(pto2_scheduler_counters, peak_main, 64);
PTO2_AT(pto2_scheduler_counters, peak_consumed, 96);
PTO2_AT(pto2_scheduler_counters, peak_dep_pool, 128);
PTO2_AT(pto2_scheduler_counters, peak_heap_bytes, 192);
PTO2_SIZE(pto2_dispatch_line, 64);
PTO2_AT(pto2_dispatch_line, words, 0);
PTO2_AT(pto2_dispatch_line, blocks, 32);
PTO2_SIZE(pto2_failure, 24);
PTO2_SIZE(pto2_failures, 16 + 24 * PTO2_MAX_FAILURES);
PTO2_AT(pto2_failures, first, 16);
_Static_assert(PTO2_SCHED_COUNTERS + sizeof(pto2_scheduler_counters) <= PTO2_SCHED_ADMITTED, "fits");
_Static_assert(PTO2_SCHED_ADMITTED + 4 * PTO2_MAX_CLUSTERS * PTO2_CORES_PER_CLUSTER <=
                   PTO2_SCHED_FENCED,
               "fits");
_Static_assert(PTO2_SCHED_FENCED + 4 * PTO2_MAX_CLUSTERS * PTO2_CORES_PER_CLUSTER <=
                   PTO2_SCHED_FAILURES,
               "fits");
_Static_assert(PTO2_SCHED_RING_WIRED + 4 * PTO2_MAX_RINGS <= PTO2_SCHED_PARKED, "fits");
_Static_assert(PTO2_SCHED_FAILURES + sizeof(pto2_failures) <= PTO2_SCHED_INTENT, "fits");
PTO2_SIZE(pto2_intent, 24);
PTO2_AT(pto2_intent, target, 8);
PTO2_AT(pto2_intent, pending, 16);
_Static_assert(PTO2_SCHED_INTENT + sizeof(pto2_intent) <= PTO2_SCHED_REDO, "fits");
PTO2_SIZE(pto2_lost_subtask, 16);
PTO2_AT(pto2_lost_subtask, subtask, 8);
_Static_assert(PTO2_MAX_LOST == PTO2_MAX_CLUSTERS * PTO2_CORES_PER_CLUSTER * PTO2_MAX_LANES,
               "room for every lane");
_Static_assert(PTO2_SCHED_REDO + PTO2_MAX_LOST * sizeof(pto2_lost_subtask) <= PTO2_SCHED_BYTES,
               "fits");
PTO2_SIZE(pto2_crash_record, 32);
_Static_assert(PTO2_CORE_COUNTERS + sizeof(pto2_core_counters) <= PTO2_CORE_CRASH &&
                   PTO2_CORE_CRASH + sizeof(pto2_crash_record) <= PTO2_CORE_BYTES,
               "fits");
PTO2_SIZE(pto2_core_counters, 32);

PTO2_SIZE(pto2_image_record, 1072);
PTO2_AT(pto2_image_record, table_hash, 8);
PTO2_AT(pto2_image_record, identity, 16);
PTO2_AT(pto2_image_record, path, 48);
PTO2_SIZE(pto2_kernel_record, 64);
PTO2_AT(pto2_kernel_record, name, 16);
PTO2_SIZE(pto2_section, 32);
PTO2_AT(pto2_section, offset, 8);
PTO2_AT(pto2_section, writer, 24);
PTO2_SIZE(PTO2DispatchInitInfo, 8);

PTO2_SIZE(pto2_configuration, 224);
PTO2_AT(pto2_configuration, arena_bytes, 40);
PTO2_AT(pto2_configuration, task_window, 48);
PTO2_AT(pto2_configuration, consumed_window, 80);
PTO2_AT(pto2_configuration, dep_pool, 112);
PTO2_AT(pto2_configuration, heap_bytes, 144);
PTO2_AT(pto2_configuration, offset_limit, 208);

PTO2_AT(pto2_header, magic, 0);
PTO2_AT(pto2_header, abi_major, 8);
PTO2_AT(pto2_header, layout_hash, 16);
PTO2_AT(pto2_header, total_bytes, 24);
PTO2_AT(pto2_header, page_bytes, 32);
PTO2_AT(pto2_header, creator_pid, 36);
PTO2_AT(pto2_header, creator_start_time, 40);
PTO2_AT(pto2_header, session_epoch, 48);
PTO2_AT(pto2_header, boot_id, 56);
PTO2_AT(pto2_header, dispatch, 72);
PTO2_AT(pto2_header, section_count, 80);
PTO2_AT(pto2_header, configuration, 88);
PTO2_AT(pto2_header, sections, 312);
_Static_assert(sizeof(pto2_header) <= 4096, "the header is one page");

/* Sentinels are told apart from every dispatch word and from each other. */
_Static_assert(((PTO2_WORD_OFFSET_MAX + 1u) << 2 | PTO2_WORD_TOGGLE) == PTO2_EXIT_SIGNAL,
               "the first unsafe offset field is EXIT_SIGNAL");
_Static_assert((PTO2_WORD_TOGGLE | PTO2_WORD_OFFSET_MAX << 2 | PTO2_WORD_SLOT_MASK)
               < PTO2_EXIT_SIGNAL, "no dispatch word reaches a sentinel");
