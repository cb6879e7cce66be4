internal import PTO2System

/// What a core does while its next lane has nothing for it: it spins, yields, moves to another
/// CPU, parks.
struct CoreWait {
  var backoff = Self.onNewCPU

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

  /// One round without a task.
  ///
  /// At a gate it also tries to move before it parks, for where yields cost time slices it parks
  /// at once: two cores that wait for each other would stay on one CPU long after whoever
  /// computes on another has gone. One without work does not: as a session begins and ends all
  /// are awake now and then, and a process that Linux moves may wait long for its new CPU.
  /// - Parameters:
  ///   - atGate: there is a dispatch that has to wait.
  ///   - leaveCrowd: moves to another CPU if there is a reason; true when it has.
  /// - Returns: true: park now.
  @inline(__always)
  mutating func next(atGate: Bool, leaveCrowd: () -> Bool) -> Bool {
    let isOver = backoff.next()
    guard isOver ? atGate : backoff.isYielding else { return isOver }
    if leaveCrowd() {
      // What yields took says nothing of this CPU.
      backoff = Self.onNewCPU
      return false
    }
    return isOver
  }
}
