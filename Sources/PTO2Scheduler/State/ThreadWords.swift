internal import CPTO2Segment
internal import PTO2Protocol

/// Words of this process alone that scheduler threads share. Each has a cache line of
/// its own, but for the masks of freed cores, which share one, and the words per core,
/// which are rarely stored to.
@safe struct ThreadWords {
  private let common: UnsafeMutablePointer<Common>
  /// One per thread.
  private let threads: UnsafeMutablePointer<ThreadLine>
  /// Two per ring.
  private let locks: UnsafeMutablePointer<Line>
  private let cores: UnsafeMutablePointer<CoreWords>

  private struct Line {
    var word: UInt32 = 0
    private var rest: InlineArray<15, UInt32> = .init(repeating: 0)
  }
  private struct FreedLine {
    var masks: (UInt64, UInt64, UInt64) = (0, 0, 0)
    private var rest: InlineArray<5, UInt64> = .init(repeating: 0)
  }
  private struct ThreadLine {
    var lostLocks: UInt64 = 0
    var bell: UInt32 = 0
    private var rest: InlineArray<13, UInt32> = .init(repeating: 0)
  }
  private struct Common {
    var failed = Line()
    var isStopping = Line()
    var logLock = Line()
    var dispatchLock = Line()
    var intake = Line()
    var freed = FreedLine()
    var deaths = Line()
    var logWired = Line()
  }
  private struct CoreWords {
    var isDead: UInt32 = 0
    var killReason: UInt32 = 0
    var quarantine: UInt32 = 0
    var quarantines: UInt32 = 0
  }

  init() {
    precondition(
      MemoryLayout<Line>.stride == 64 && MemoryLayout<FreedLine>.stride == 64
        && MemoryLayout<ThreadLine>.stride == 64 && MemoryLayout<Common>.stride == 8 * 64)
    unsafe common = Self.allocate(1, Common())
    unsafe threads = Self.allocate(Int(PTO2_MAX_SCHEDULER_THREADS), ThreadLine())
    unsafe locks = Self.allocate(2 * Int(PTO2_MAX_RINGS), Line())
    unsafe cores = Self.allocate(Int(PTO2_MAX_CORES), CoreWords())
    intake.value = ReadyQueues.none
  }

  /// On whole cache lines.
  private static func allocate<Value>(_ count: Int, _ value: Value) -> UnsafeMutablePointer<Value> {
    let memory = UnsafeMutableRawPointer.allocate(
      byteCount: count * MemoryLayout<Value>.stride, alignment: 64)
    return unsafe memory.initializeMemory(as: Value.self, repeating: value, count: count)
  }

  func deallocate() {
    unsafe common.deallocate()
    unsafe threads.deallocate()
    unsafe locks.deallocate()
    unsafe cores.deallocate()
  }

  /// 1: some thread has failed, and has or will have written the error block.
  @inline(__always)
  var failed: Cell<UInt32> { unsafe Cell(&common.pointee.failed.word) }
  /// 1: the threads beside the first one are to end.
  var isStopping: Cell<UInt32> { unsafe Cell(&common.pointee.isStopping.word) }
  @inline(__always)
  var logLock: Cell<UInt32> { unsafe Cell(&common.pointee.logLock.word) }
  @inline(__always)
  var dispatchLock: Cell<UInt32> { unsafe Cell(&common.pointee.dispatchLock.word) }
  /// Head of the stack of tasks that became ready (`ReadyQueues.push`).
  @inline(__always)
  var intake: Cell<UInt32> { unsafe Cell(&common.pointee.intake.word) }
  /// Counts up with every core whose worker has died.
  @inline(__always)
  var deaths: Cell<UInt32> { unsafe Cell(&common.pointee.deaths.word) }
  /// Log position of the next record to wire. Writer: the log's holder.
  @inline(__always)
  var logWired: Cell<UInt32> { unsafe Cell(&common.pointee.logWired.word) }

  /// By subtask, clusters whose core had a FIN or a READY since a dispatcher last
  /// looked.
  @inline(__always)
  func freed(_ subtask: Int) -> Cell<UInt64> {
    switch subtask {
    case 0: unsafe Cell(&common.pointee.freed.masks.0)
    case 1: unsafe Cell(&common.pointee.freed.masks.1)
    default: unsafe Cell(&common.pointee.freed.masks.2)
    }
  }

  @inline(__always)
  func releasedLock(_ ring: Int) -> Cell<UInt32> { unsafe Cell(&locks[2 * ring].word) }
  @inline(__always)
  func consumedLock(_ ring: Int) -> Cell<UInt32> { unsafe Cell(&locks[2 * ring + 1].word) }

  /// What a thread sleeps on beside the segment's words; counts up.
  func bell(_ thread: Int) -> Cell<UInt32> { unsafe Cell(&threads[thread].bell) }
  /// How often the thread has found a try-lock taken; its own.
  func lostLocks(_ thread: Int) -> Cell<UInt64> { unsafe Cell(&threads[thread].lostLocks) }

  /// 1 for a core whose worker has died, until its thread has dealt with it.
  func isDead(_ core: Int) -> Cell<UInt32> { unsafe Cell(&cores[core].isDead) }
  /// Why the core's worker is killed: PTO2_FAILURE_..., or 0.
  func killReason(_ core: Int) -> Cell<UInt32> { unsafe Cell(&cores[core].killReason) }
  /// 1 for a core whose COND words are garbage, 2 once its worker has been killed.
  func quarantine(_ core: Int) -> Cell<UInt32> { unsafe Cell(&cores[core].quarantine) }
  /// How often a core was quarantined.
  func quarantines(_ core: Int) -> Cell<UInt32> { unsafe Cell(&cores[core].quarantines) }
}
