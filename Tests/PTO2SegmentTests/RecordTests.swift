import CPTO2ABI
import Testing

/// The layout facts as Swift sees them, against numbers written here: what the
/// asserts of pto2_abi.h say to C must hold for the imported types as well.
@Suite struct RecordTests {
  @Test func recordsHaveTheirSizes() {
    #expect(MemoryLayout<pto2_tensor>.size == 64)
    #expect(MemoryLayout<PTO2DispatchDesc>.size == 408)
    #expect(MemoryLayout<pto2_main_slot>.size == 64)
    #expect(MemoryLayout<pto2_main_slot_state>.size == 8)
    #expect(MemoryLayout<pto2_consumed_entry>.size == 64)
    #expect(MemoryLayout<pto2_fanout_edge>.size == 16)
    #expect(MemoryLayout<pto2_log_record>.size == 16)
    #expect(MemoryLayout<pto2_error_block>.size == 1024)
    #expect(MemoryLayout<pto2_process_record>.size == 32)
    #expect(MemoryLayout<pto2_scheduler_counters>.size == 256)
    #expect(MemoryLayout<pto2_dispatch_line>.size == 64)
    #expect(MemoryLayout<pto2_core_counters>.size == 32)
    #expect(MemoryLayout<pto2_image_record>.size == 1072)
    #expect(MemoryLayout<pto2_kernel_record>.size == 64)
    #expect(MemoryLayout<pto2_section>.size == 32)
    #expect(MemoryLayout<PTO2DispatchInitInfo>.size == 8)
    #expect(MemoryLayout<pto2_configuration>.size == 224)
    #expect(MemoryLayout<pto2_header>.size == 3384)
  }

  @Test func recordsInTablesHaveNoGapBetweenThem() {
    #expect(MemoryLayout<pto2_tensor>.stride == 64)
    #expect(MemoryLayout<pto2_consumed_entry>.stride == 64)
    #expect(MemoryLayout<pto2_main_slot_state>.stride == 8)
    #expect(MemoryLayout<pto2_fanout_edge>.stride == 16)
    #expect(MemoryLayout<pto2_log_record>.stride == 16)
    #expect(MemoryLayout<pto2_dispatch_line>.stride == 64)
    #expect(PTO2_DESC_STRIDE == 448)
    #expect(PTO2_MAIN_SLOT_STRIDE == 64 + 32 * 64 + 64)
  }

  @Test func everyFieldOfTheTaskRecordsLiesWhereTheABISays() {
    typealias Tensor = pto2_tensor
    let tensor = [
      MemoryLayout<Tensor>.offset(of: \.offset), MemoryLayout<Tensor>.offset(of: \.shape),
      MemoryLayout<Tensor>.offset(of: \.strides), MemoryLayout<Tensor>.offset(of: \.dtype),
      MemoryLayout<Tensor>.offset(of: \.rank), MemoryLayout<Tensor>.offset(of: \.access),
      MemoryLayout<Tensor>.offset(of: \.element_count),
    ]
    #expect(tensor == [0, 8, 28, 48, 49, 50, 52])

    typealias Slot = pto2_main_slot
    let slot = [
      MemoryLayout<Slot>.offset(of: \.task_id), MemoryLayout<Slot>.offset(of: \.fanin_first),
      MemoryLayout<Slot>.offset(of: \.fanin_count),
      MemoryLayout<Slot>.offset(of: \.scope_previous),
      MemoryLayout<Slot>.offset(of: \.active_mask), MemoryLayout<Slot>.offset(of: \.flags),
      MemoryLayout<Slot>.offset(of: \.tensor_count), MemoryLayout<Slot>.offset(of: \.scalar_count),
      MemoryLayout<Slot>.offset(of: \.kernel_ids), MemoryLayout<Slot>.offset(of: \.scope_depth),
      MemoryLayout<Slot>.offset(of: \.block_count),
      MemoryLayout<Slot>.offset(of: \.snapshot_line),
      MemoryLayout<Slot>.offset(of: \.output_offset),
      MemoryLayout<Slot>.offset(of: \.heap_begin), MemoryLayout<Slot>.offset(of: \.heap_end),
    ]
    #expect(slot == [0, 8, 12, 16, 20, 21, 22, 23, 24, 30, 32, 36, 40, 48, 56])

    #expect(MemoryLayout<PTO2DispatchDesc>.offset(of: \.function_bin_addrs) == 0)
    #expect(MemoryLayout<PTO2DispatchDesc>.offset(of: \.args) == 24)
    #expect(MemoryLayout<pto2_log_record>.offset(of: \.kind) == 0)
    #expect(MemoryLayout<pto2_log_record>.offset(of: \.ring) == 4)
    #expect(MemoryLayout<pto2_log_record>.offset(of: \.id) == 8)
    #expect(MemoryLayout<pto2_log_record>.offset(of: \.count) == 12)
  }

  @Test func everyFieldOfTheSchedulersRecordsLiesWhereTheABISays() {
    typealias Entry = pto2_consumed_entry
    let entry = [
      MemoryLayout<Entry>.offset(of: \.task_id), MemoryLayout<Entry>.offset(of: \.state),
      MemoryLayout<Entry>.offset(of: \.fanout_head), MemoryLayout<Entry>.offset(of: \.fanout_count),
      MemoryLayout<Entry>.offset(of: \.fanout_refcount),
      MemoryLayout<Entry>.offset(of: \.scope_previous), MemoryLayout<Entry>.offset(of: \.flags),
      MemoryLayout<Entry>.offset(of: \.active_mask), MemoryLayout<Entry>.offset(of: \.heap_end),
      MemoryLayout<Entry>.offset(of: \.outcome), MemoryLayout<Entry>.offset(of: \.pool_end),
      MemoryLayout<Entry>.offset(of: \.block_count),
      MemoryLayout<Entry>.offset(of: \.blocks_started),
      MemoryLayout<Entry>.offset(of: \.subtasks_left),
      MemoryLayout<Entry>.offset(of: \.scope_ended),
    ]
    #expect(entry == [0, 8, 12, 16, 20, 24, 28, 29, 32, 40, 44, 48, 52, 56, 60])
    #expect(MemoryLayout<pto2_main_slot_state>.offset(of: \.fanin_refcount) == 0)
    #expect(MemoryLayout<pto2_main_slot_state>.offset(of: \.fanin_count) == 4)
    #expect(MemoryLayout<pto2_fanout_edge>.offset(of: \.consumer) == 0)
    #expect(MemoryLayout<pto2_fanout_edge>.offset(of: \.next) == 8)
    #expect(MemoryLayout<pto2_fanout_edge>.offset(of: \.flags) == 12)
    #expect(MemoryLayout<pto2_dispatch_line>.offset(of: \.words) == 0)
    #expect(MemoryLayout<pto2_dispatch_line>.offset(of: \.blocks) == 32)
    typealias Counters = pto2_scheduler_counters
    let counters = [
      MemoryLayout<Counters>.offset(of: \.peak_main),
      MemoryLayout<Counters>.offset(of: \.peak_consumed),
      MemoryLayout<Counters>.offset(of: \.peak_dep_pool),
      MemoryLayout<Counters>.offset(of: \.peak_heap_bytes),
    ]
    #expect(counters == [64, 96, 128, 192])
  }

  @Test func everyFieldOfTheHeaderLiesWhereTheABISays() {
    typealias Header = pto2_header
    let header = [
      MemoryLayout<Header>.offset(of: \.magic), MemoryLayout<Header>.offset(of: \.abi_major),
      MemoryLayout<Header>.offset(of: \.abi_minor), MemoryLayout<Header>.offset(of: \.layout_hash),
      MemoryLayout<Header>.offset(of: \.total_bytes), MemoryLayout<Header>.offset(of: \.page_bytes),
      MemoryLayout<Header>.offset(of: \.creator_pid),
      MemoryLayout<Header>.offset(of: \.creator_start_time),
      MemoryLayout<Header>.offset(of: \.session_epoch), MemoryLayout<Header>.offset(of: \.boot_id),
      MemoryLayout<Header>.offset(of: \.dispatch), MemoryLayout<Header>.offset(of: \.section_count),
      MemoryLayout<Header>.offset(of: \.configuration),
      MemoryLayout<Header>.offset(of: \.sections),
    ]
    #expect(header == [0, 8, 12, 16, 24, 32, 36, 40, 48, 56, 72, 80, 88, 312])
    typealias Configuration = pto2_configuration
    let configuration = [
      MemoryLayout<Configuration>.offset(of: \.rings),
      MemoryLayout<Configuration>.offset(of: \.log_capacity),
      MemoryLayout<Configuration>.offset(of: \.first_position),
      MemoryLayout<Configuration>.offset(of: \.arena_bytes),
      MemoryLayout<Configuration>.offset(of: \.task_window),
      MemoryLayout<Configuration>.offset(of: \.consumed_window),
      MemoryLayout<Configuration>.offset(of: \.dep_pool),
      MemoryLayout<Configuration>.offset(of: \.heap_bytes),
      MemoryLayout<Configuration>.offset(of: \.stall_limit_milliseconds),
      MemoryLayout<Configuration>.offset(of: \.offset_limit),
      MemoryLayout<Configuration>.offset(of: \.stop_grace_milliseconds),
      MemoryLayout<Configuration>.offset(of: \.flags),
    ]
    #expect(configuration == [0, 16, 20, 40, 48, 80, 112, 144, 36, 208, 216, 220])
    #expect(MemoryLayout<pto2_section>.offset(of: \.offset) == 8)
    #expect(MemoryLayout<pto2_section>.offset(of: \.bytes) == 16)
    #expect(MemoryLayout<pto2_section>.offset(of: \.writer) == 24)
    #expect(MemoryLayout<pto2_image_record>.offset(of: \.identity) == 16)
    #expect(MemoryLayout<pto2_image_record>.offset(of: \.path) == 48)
    #expect(MemoryLayout<pto2_kernel_record>.offset(of: \.name) == 16)
  }

  @Test func everyFieldOfErrorAndProcessRecordsLiesWhereTheABISays() {
    typealias Block = pto2_error_block
    let block = [
      MemoryLayout<Block>.offset(of: \.code), MemoryLayout<Block>.offset(of: \.ring),
      MemoryLayout<Block>.offset(of: \.task_id), MemoryLayout<Block>.offset(of: \.needed),
      MemoryLayout<Block>.offset(of: \.available),
      MemoryLayout<Block>.offset(of: \.time_nanoseconds), MemoryLayout<Block>.offset(of: \.core),
      MemoryLayout<Block>.offset(of: \.message_length), MemoryLayout<Block>.offset(of: \.message),
    ]
    #expect(block == [0, 4, 8, 16, 24, 32, 40, 44, 64])
    typealias Process = pto2_process_record
    let process = [
      MemoryLayout<Process>.offset(of: \.pid), MemoryLayout<Process>.offset(of: \.incarnation),
      MemoryLayout<Process>.offset(of: \.start_time),
      MemoryLayout<Process>.offset(of: \.supervised),
      MemoryLayout<Process>.offset(of: \.heartbeat_nanoseconds),
    ]
    #expect(process == [0, 4, 8, 16, 24])
  }

  @Test func everyFieldOfTheCrashRecordLiesWhereTheABISays() {
    typealias Crash = pto2_crash_record
    let crash = [
      MemoryLayout<Crash>.offset(of: \.signal), MemoryLayout<Crash>.offset(of: \.code),
      MemoryLayout<Crash>.offset(of: \.address), MemoryLayout<Crash>.offset(of: \.offset),
      MemoryLayout<Crash>.offset(of: \.access),
    ]
    #expect(crash == [0, 4, 8, 16, 24])
    #expect(MemoryLayout<Crash>.size == 32)
  }

  /// Two words with different writers or readers never share a cache line.
  @Test func wordsOfOneSectionHaveALineEach() {
    let orchestrator = [
      PTO2_ORCH_SUBMITTED, PTO2_ORCH_PARKED, PTO2_ORCH_CONTROL, PTO2_ORCH_PROCESS, PTO2_ORCH_ERROR,
      PTO2_ORCH_RINGS,
    ]
    let scheduler = [
      PTO2_SCHED_WIRED, PTO2_SCHED_PARKED, PTO2_SCHED_CONTROL, PTO2_SCHED_PROCESS,
      PTO2_SCHED_ERROR, PTO2_SCHED_RINGS, PTO2_SCHED_COUNTERS,
    ]
    let core = [
      PTO2_CORE_COND, PTO2_CORE_PARKED, PTO2_CORE_READY, PTO2_CORE_PROCESS, PTO2_CORE_ERROR,
      PTO2_CORE_COUNTERS,
    ]
    for offsets in [orchestrator, scheduler, core] {
      #expect(offsets.allSatisfy { $0 % 64 == 0 })
      #expect(Set(offsets).count == offsets.count)
    }
    #expect(orchestrator == [0, 64, 128, 192, 256, 1536])
    #expect(scheduler == [0, 64, 128, 192, 256, 1536, 2048])
    #expect(core == [0, 64, 128, 192, 256, 1536])
    #expect([PTO2_ORCH_BYTES, PTO2_SCHED_BYTES, PTO2_CORE_BYTES] == [2048, 24576, 2048])
  }
}
