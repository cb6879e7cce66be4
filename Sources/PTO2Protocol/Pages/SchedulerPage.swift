public import CPTO2Segment

/// The scheduler's words: `SchedulerPage<OwnedWord>` is the scheduler's,
/// `SchedulerPage<SharedWord>` everybody else's.
@safe @frozen @usableFromInline
package struct SchedulerPage<Word: SegmentWord> {
  @usableFromInline let base: UnsafeRawPointer

  @usableFromInline typealias Layout = pto2_scheduler_page

  /// - Parameter base: mapped for the life of this value; writable for OwnedWord.
  package init(at base: UnsafeRawPointer) { unsafe self.base = base }

  @inlinable @inline(__always)
  func word(_ offset: Int?, _ index: Int = 0, stride: Int = 4) -> Word {
    unsafe Word(at: base + (offset! + index * stride))
  }

  /// Log position: records before it are wired.
  @inlinable package var wired: Word { word(MemoryLayout<Layout>.offset(of: \.wired)) }
  /// Local id of the ring's next task to wire; stored before `wired` passes the task.
  @inlinable
  package func wired(_ ring: Int) -> Word {
    word(MemoryLayout<Layout>.offset(of: \.ring_wired), ring)
  }
  /// Bit t: thread t sleeps; thread 0 waits for `submitted`.
  @inlinable package var parked: Word { word(MemoryLayout<Layout>.offset(of: \.parked)) }
  /// Position of `submitted` at which thread 0 is to be woken. Stored before `parked`.
  @inlinable package var wanted: Word { word(MemoryLayout<Layout>.offset(of: \.wanted)) }
  /// Transfers given to the link. Release: their records. The link acquires it.
  @inlinable
  package var transfersStarted: Word {
    word(MemoryLayout<Layout>.offset(of: \.transfers_started))
  }
  /// PTO2_SCHED_...
  @inlinable package var control: Word { word(MemoryLayout<Layout>.offset(of: \.control)) }

  /// `last_task_released`: one past the RELEASED prefix. Release: the last look at the
  /// main slots, descriptors and pool entries before it. The orchestrator acquires it.
  @inlinable
  package func released(_ ring: Int) -> Word {
    word(
      MemoryLayout<Layout>.offset(of: \.rings)! + MemoryLayout<pto2_scheduler_ring>.offset(
        of: \.released)!, ring, stride: MemoryLayout<pto2_scheduler_ring>.stride)
  }
  /// `last_task_consumed`: one past the CONSUMED prefix. Release: every consumer of the
  /// outputs before it has ended. The orchestrator acquires it.
  @inlinable
  package func consumed(_ ring: Int) -> Word {
    word(
      MemoryLayout<Layout>.offset(of: \.rings)! + MemoryLayout<pto2_scheduler_ring>.offset(
        of: \.consumed)!, ring, stride: MemoryLayout<pto2_scheduler_ring>.stride)
  }

  /// 1 while a READY worker of the core is not fenced.
  @inlinable
  package func admitted(_ core: Int) -> Word {
    word(MemoryLayout<Layout>.offset(of: \.admitted), core)
  }
  /// The READY value of the core's last worker that is known to be gone. The next
  /// worker touches the core's words only after this says so.
  @inlinable
  package func fenced(_ core: Int) -> Word {
    word(MemoryLayout<Layout>.offset(of: \.fenced), core)
  }

  package var process: ProcessRecord {
    unsafe ProcessRecord(at: base + MemoryLayout<Layout>.offset(of: \.process)!)
  }
  package var error: ErrorBlock {
    unsafe ErrorBlock(at: base + MemoryLayout<Layout>.offset(of: \.error)!)
  }
  package var failures: FailureTable<Word> {
    unsafe FailureTable(at: base + MemoryLayout<Layout>.offset(of: \.failures)!)
  }
  /// Peaks are exact at any time, the others once `control` says STOPPED.
  package var counters: pto2_scheduler_counters {
    unsafe (base + MemoryLayout<Layout>.offset(of: \.counters)!)
      .load(as: pto2_scheduler_counters.self)
  }
  /// Place `index` of the list of subtasks to run again; less than PTO2_MAX_LOST.
  package func lostSubtask(_ index: Int) -> pto2_lost_subtask {
    unsafe (base + MemoryLayout<Layout>.offset(of: \.redo)!)
      .assumingMemoryBound(to: pto2_lost_subtask.self)[index]
  }
  package var intent: pto2_intent {
    unsafe (base + MemoryLayout<Layout>.offset(of: \.intent)!).load(as: pto2_intent.self)
  }
}

extension SchedulerPage where Word == OwnedWord {
  package var ownProcess: OwnedProcessRecord {
    unsafe OwnedProcessRecord(at: base + MemoryLayout<Layout>.offset(of: \.process)!)
  }
  package var ownError: OwnedErrorBlock {
    unsafe OwnedErrorBlock(at: base + MemoryLayout<Layout>.offset(of: \.error)!)
  }
  /// `parked` for several threads: each adds and subtracts its bit.
  package var parkedBits: Cell<UInt32> {
    unsafe Cell(
      UnsafeMutableRawPointer(mutating: base + MemoryLayout<Layout>.offset(of: \.parked)!)
        .assumingMemoryBound(to: UInt32.self))
  }
  /// All but the peaks of the rings, which are stored one by one.
  package func setCounters(
    completed: UInt64, edges: UInt64, dispatched: UInt64, parks: UInt64, lostLocks: UInt64
  ) {
    let record = unsafe UnsafeMutableRawPointer(
      mutating: base + MemoryLayout<Layout>.offset(of: \.counters)!
    ).assumingMemoryBound(to: pto2_scheduler_counters.self)
    unsafe record.pointee.tasks_completed = completed
    unsafe record.pointee.edges = edges
    unsafe record.pointee.subtasks_dispatched = dispatched
    unsafe record.pointee.parks = parks
    unsafe record.pointee.lost_locks = lostLocks
  }
  package func ownPeaks(_ ring: Int) -> OwnedRingPeaks {
    unsafe OwnedRingPeaks(at: base + MemoryLayout<Layout>.offset(of: \.counters)!, ring: ring)
  }
  package var ownIntent: OwnedIntent {
    unsafe OwnedIntent(at: base + MemoryLayout<Layout>.offset(of: \.intent)!)
  }
  /// A place of the list of subtasks to run again: its `subtask` word is stored last.
  package func ownLostSubtask(_ index: Int) -> OwnedLostSubtask {
    unsafe OwnedLostSubtask(
      at: base + MemoryLayout<Layout>.offset(of: \.redo)! + index
        * MemoryLayout<pto2_lost_subtask>.stride)
  }
}

/// What did not end normally: counts, and the first root causes.
@safe @frozen @usableFromInline
package struct FailureTable<Word: SegmentWord> {
  @usableFromInline let base: UnsafeRawPointer

  package init(at base: UnsafeRawPointer) { unsafe self.base = base }

  /// Tasks that FAILED. Released after the record it counts, and before the task is
  /// RELEASED.
  package var failed: Word {
    unsafe Word(at: base + MemoryLayout<pto2_failures>.offset(of: \.failed)!)
  }
  /// Tasks that were CANCELLED, each before it is RELEASED.
  package var cancelledWord: Word {
    unsafe Word(at: base + MemoryLayout<pto2_failures>.offset(of: \.cancelled)!)
  }
  /// All four counts.
  package var counts: (failed: UInt32, cancelled: UInt32, lost: UInt32, quarantined: UInt32) {
    let table = unsafe base.assumingMemoryBound(to: pto2_failures.self)
    return unsafe (
      table.pointee.failed, table.pointee.cancelled, table.pointee.lost, table.pointee.quarantined
    )
  }
  /// - Parameter index: less than PTO2_MAX_FAILURES, and than an acquired `failed` less
  ///   the orchestrator's `failedBefore`.
  package func record(_ index: Int) -> pto2_failure {
    unsafe (base + MemoryLayout<pto2_failures>.offset(of: \.first)!)
      .assumingMemoryBound(to: pto2_failure.self)[index]
  }
}

extension FailureTable where Word == OwnedWord {
  private var table: UnsafeMutablePointer<pto2_failures> {
    unsafe UnsafeMutableRawPointer(mutating: base).assumingMemoryBound(to: pto2_failures.self)
  }
  /// Counts that scheduler threads share.
  package var cancelled: Cell<UInt32> { unsafe Cell(&table.pointee.cancelled) }
  package var lost: Cell<UInt32> { unsafe Cell(&table.pointee.lost) }
  package var quarantined: Cell<UInt32> { unsafe Cell(&table.pointee.quarantined) }
  package var failedCount: Cell<UInt32> { unsafe Cell(&table.pointee.failed) }

  /// Before `failed` counts it.
  package func setRecord(_ index: Int, _ record: pto2_failure) {
    unsafe (UnsafeMutableRawPointer(table) + MemoryLayout<pto2_failures>.offset(of: \.first)!)
      .assumingMemoryBound(to: pto2_failure.self)[index] = record
  }
}

/// What the dispatcher is about to store to DATA_MAIN_BASE.
@safe @frozen @usableFromInline
package struct OwnedIntent {
  @usableFromInline let record: UnsafeMutablePointer<pto2_intent>

  package init(at base: UnsafeRawPointer) {
    unsafe record = UnsafeMutableRawPointer(mutating: base)
      .assumingMemoryBound(to: pto2_intent.self)
  }

  /// The task's id.
  @inlinable @inline(__always)
  package var task: OwnedLongWord { unsafe OwnedLongWord(UnsafeMutableRawPointer(record)) }
  /// The word 31:0, its core and lane 63:32; 0 = none yet. Stored before the word.
  @inlinable @inline(__always)
  package var target: OwnedLongWord {
    unsafe OwnedLongWord(
      UnsafeMutableRawPointer(record) + MemoryLayout<pto2_intent>.offset(of: \.target)!)
  }
  /// Block 31:3, subtask slots 2:0; a slot's bit is cleared after its word is stored.
  @inlinable @inline(__always)
  package var pending: OwnedWord {
    unsafe OwnedWord(
      UnsafeMutableRawPointer(record) + MemoryLayout<pto2_intent>.offset(of: \.pending)!)
  }
}

/// A place of the list of subtasks to run again.
@safe @frozen @usableFromInline
package struct OwnedLostSubtask {
  @usableFromInline let record: UnsafeMutablePointer<pto2_lost_subtask>

  package init(at base: UnsafeRawPointer) {
    unsafe record = UnsafeMutableRawPointer(mutating: base)
      .assumingMemoryBound(to: pto2_lost_subtask.self)
  }

  package var taskID: TaskID {
    get { TaskID(rawValue: unsafe record.pointee.task_id) }
    nonmutating set { unsafe record.pointee.task_id = newValue.rawValue }
  }
  /// PTO2_LOST_USED, block 31:3 and subtask slot 1:0; 0 = free place.
  package var subtask: OwnedWord {
    unsafe OwnedWord(
      UnsafeMutableRawPointer(record) + MemoryLayout<pto2_lost_subtask>.offset(of: \.subtask)!)
  }
}

/// The most that was in use of each part of a ring, in the scheduler's page: stored
/// before the task that uses it is dispatched.
@safe @frozen @usableFromInline
package struct OwnedRingPeaks {
  @usableFromInline let record: UnsafeMutablePointer<pto2_scheduler_counters>
  @usableFromInline let ring: Int

  package init(at base: UnsafeRawPointer, ring: Int) {
    unsafe record = UnsafeMutableRawPointer(mutating: base)
      .assumingMemoryBound(to: pto2_scheduler_counters.self)
    self.ring = ring
  }

  @inlinable @inline(__always)
  func element<Value: BitwiseCopyable>(_ offset: Int?) -> Cell<Value> {
    unsafe Cell(
      (UnsafeMutableRawPointer(record) + offset!).assumingMemoryBound(to: Value.self) + ring)
  }

  @inlinable @inline(__always)
  package var main: Cell<UInt32> {
    element(MemoryLayout<pto2_scheduler_counters>.offset(of: \.peak_main))
  }
  @inlinable @inline(__always)
  package var consumed: Cell<UInt32> {
    element(MemoryLayout<pto2_scheduler_counters>.offset(of: \.peak_consumed))
  }
  @inlinable @inline(__always)
  package var pool: Cell<UInt32> {
    element(MemoryLayout<pto2_scheduler_counters>.offset(of: \.peak_dep_pool))
  }
  /// Bytes, with what a block leaves unused at the end of the heap: more than the heap
  /// has at times.
  @inlinable @inline(__always)
  package var heap: Cell<UInt64> {
    element(MemoryLayout<pto2_scheduler_counters>.offset(of: \.peak_heap_bytes))
  }
}

extension pto2_scheduler_counters {
  /// The peaks of one ring.
  package func peaks(ring: Int) -> (main: UInt32, consumed: UInt32, pool: UInt32, heap: UInt64) {
    (
      element(of: peak_main, ring), element(of: peak_consumed, ring),
      element(of: peak_dep_pool, ring), element(of: peak_heap_bytes, ring)
    )
  }
}

/// An element of a C array, which Swift has as a tuple.
private func element<Tuple, Element>(of array: Tuple, _ index: Int) -> Element {
  unsafe withUnsafeBytes(of: array) { unsafe $0.bindMemory(to: Element.self)[index] }
}
