internal import CPTO2Segment
internal import PTO2Protocol
package import PTO2Segment
internal import PTO2System

/// Reading the submission log; belongs to the holder of `Lines.logLock`.
struct LogState {
  /// Log position of the next record to wire.
  var wired: UInt32
  /// The `submitted` word as last read.
  var knownSubmitted: UInt32
  /// The rest of a scope end that is being worked off; its record counts as
  /// wired when nothing is left.
  var scopeEnd: (ring: Int, local: UInt32, left: UInt32) = (0, 0, 0)
  /// The next record is a scope end that a scheduler before this one may have
  /// worked off in part.
  var isResumed = false
}

/// Ready queues and core masks; belongs to the holder of `Lines.dispatchLock`.
@unsafe struct Dispatcher {
  var ready: ReadyQueues
  var cores: CoreTable
  /// The shape whose first task waits for enough idle cores to start all its
  /// blocks together.
  var drainingFor: TaskShape?
  /// Subtasks to run again because their worker has died.
  var redo: RedoQueue
}

/// Words of this process alone that scheduler threads share. Each has a cache line
/// of its own, but for the three of `freed`, which share one, and the words per core,
/// which are rarely stored to.
@unsafe struct Lines {
  private let base: UnsafeMutableRawPointer

  init() {
    unsafe base = .allocate(byteCount: Self.count * 64, alignment: 64)
    unsafe base.initializeMemory(as: UInt64.self, repeating: 0, count: Self.count * 8)
    unsafe intake.pointee = ReadyQueues.none
  }

  func deallocate() { unsafe base.deallocate() }

  private static let count = 40 + 2 * Int(PTO2_MAX_RINGS) + Int(PTO2_MAX_SCHEDULER_THREADS)

  @inline(__always)
  private func word(_ line: Int) -> UnsafeMutablePointer<UInt32> {
    unsafe (base + 64 * line).assumingMemoryBound(to: UInt32.self)
  }

  /// 1: some thread has failed, and has or will have written the error block.
  var failed: UnsafeMutablePointer<UInt32> { unsafe word(0) }
  /// 1: the threads beside the first one are to end.
  var isStopping: UnsafeMutablePointer<UInt32> { unsafe word(1) }
  var logLock: UnsafeMutablePointer<UInt32> { unsafe word(2) }
  var dispatchLock: UnsafeMutablePointer<UInt32> { unsafe word(3) }
  /// Head of the stack of tasks that became ready (`ReadyQueues.push`).
  var intake: UnsafeMutablePointer<UInt32> { unsafe word(4) }
  /// By slot, cores that had a FIN or a READY since a dispatcher last looked.
  @inline(__always)
  func freed(_ slot: Int) -> UnsafeMutablePointer<UInt64> {
    unsafe (base + 64 * 5 + 8 * slot).assumingMemoryBound(to: UInt64.self)
  }
  /// Counts up with every core whose worker has died.
  var deaths: UnsafeMutablePointer<UInt32> { unsafe word(6) }
  /// 1 for such a core, until its thread has dealt with it.
  func isDead(_ core: Int) -> UnsafeMutablePointer<UInt32> {
    unsafe word(Self.count - 16) + core
  }
  /// Why the core's worker is killed: PTO2_FAILURE_..., or 0.
  func killReason(_ core: Int) -> UnsafeMutablePointer<UInt32> {
    unsafe word(Self.count - 8) + core
  }
  /// 1 for a core whose COND words are garbage, 2 once its worker has been killed.
  func quarantine(_ core: Int) -> UnsafeMutablePointer<UInt32> {
    unsafe word(Self.count - 24) + core
  }
  /// How often a core was quarantined.
  func quarantines(_ core: Int) -> UnsafeMutablePointer<UInt32> {
    unsafe word(Self.count - 32) + core
  }
  @inline(__always)
  func releasedLock(_ ring: Int) -> UnsafeMutablePointer<UInt32> { unsafe word(8 + 2 * ring) }
  @inline(__always)
  func consumedLock(_ ring: Int) -> UnsafeMutablePointer<UInt32> { unsafe word(9 + 2 * ring) }
  /// What a thread sleeps on beside the segment's words; counts up.
  func bell(_ thread: Int) -> UnsafeMutablePointer<UInt32> {
    unsafe word(8 + 2 * Int(PTO2_MAX_RINGS) + thread)
  }
}

/// Everything that the scheduler threads have in common, and its owner.
@safe package final class SharedState: @unchecked Sendable {
  // Sendable: each part says above whose it is; the segment does not change.
  let segment: Segment
  let rings: UnsafeMutablePointer<RingState>
  let reservations: UnsafeMutablePointer<RingReservation>
  let log: UnsafeMutablePointer<LogState>
  let dispatcher: UnsafeMutablePointer<Dispatcher>
  let lines: Lines
  /// A scheduler was there before, and has died: see `Scheduler.rebuild`.
  package let isRestart: Bool

  package init(_ segment: consuming Segment) {
    let configuration = segment.configuration
    let ringCount = configuration.rings.count
    let words = unsafe segment.write(.schedulerWords)
    let control = unsafe OwnedWord(words + Int(PTO2_SCHED_CONTROL)).loadOwn()
    let isRestart = control == PTO2_SCHED_ATTACHED
    self.isRestart = isRestart
    unsafe rings = .allocate(capacity: ringCount)
    unsafe reservations = .allocate(capacity: ringCount)
    var slots: UInt32 = 0
    for ring in 0..<ringCount {
      unsafe (rings + ring).initialize(to: RingState(segment, ring: ring, firstSlot: slots))
      unsafe (reservations + ring).initialize(to: RingReservation(segment.layout, ring: ring))
      slots += configuration.rings[ring].taskWindow
      guard !isRestart else { continue }
      unsafe rings[ring].releasedWord.storeRelaxed(configuration.firstPosition)
      unsafe rings[ring].consumedWord.storeRelaxed(configuration.firstPosition)
      unsafe rings[ring].wiredWord.storeRelaxed(configuration.firstPosition)
    }
    unsafe log = .allocate(capacity: 1)
    unsafe log.initialize(
      to: LogState(
        wired: configuration.firstPosition, knownSubmitted: configuration.firstPosition))
    unsafe dispatcher = .allocate(capacity: 1)
    unsafe dispatcher.initialize(
      to: Dispatcher(
        ready: ReadyQueues(slotCount: Int(slots)),
        cores: CoreTable(segment, isFresh: !isRestart), redo: RedoQueue(words)))
    unsafe lines = Lines()
    self.segment = segment
  }

  deinit {
    unsafe reservations.deinitialize(count: segment.configuration.rings.count)
    unsafe reservations.deallocate()
    unsafe rings.deallocate()
    unsafe log.deallocate()
    unsafe dispatcher.pointee.ready.deallocate()
    unsafe dispatcher.pointee.cores.deallocate()
    unsafe dispatcher.deallocate()
    unsafe lines.deallocate()
  }
}
