internal import PTO2System

/// What a core does while its next lane has nothing for it: it spins, yields, moves to another
/// CPU, parks.
struct CoreWait {
  private var backoff = Self.onNewCPU

  // What a core waits for at a gate may have lost its CPU to the scheduler or the
  // orchestrator for 100 us, and a CPU that has gone to sleep takes 50 us to come back in a
  // virtual machine: yield for 300 us before sleeping. Others run meanwhile, for less than
  // a millisecond at a time.
  private static var onNewCPU: Backoff { Backoff(yields: 800, hogNanoseconds: 1_000_000) }

  /// Before its first task a core sleeps at once: other cores are being started.
  init() { backoff.resume() }

  /// After a task.
  @inline(__always)
  mutating func reset() { backoff.reset() }

  /// After a park.
  mutating func resume() { backoff.resume() }

  /// A yield has taken so long.
  mutating func noteYield(nanoseconds: UInt64) { backoff.noteYield(nanoseconds: nanoseconds) }

  /// One round without a task.
  ///
  /// The core also tries to move where yields cost time slices, so that it parks at once:
  /// else two cores that wait for each other stay on one CPU as long as somebody computes
  /// on another.
  /// - Parameter leaveCrowd: moves to another CPU if there is a reason; true when it has.
  /// - Returns: true: park now.
  @inline(__always)
  mutating func next(leaveCrowd: () -> Bool) -> Bool {
    let isOver = backoff.next()
    guard isOver || backoff.isYielding else { return false }
    if leaveCrowd() {
      // What yields took says nothing of this CPU.
      backoff = Self.onNewCPU
      return false
    }
    return isOver
  }
}
