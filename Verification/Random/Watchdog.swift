import Glibc
import Synchronization

/// Ends the process when one session takes too long: a lost wake or a lost task
/// would hang it. The scheduler and the workers die with it.
enum Watchdog {
  private static let seed = Atomic<UInt64>(0)
  /// Seconds of `time`; 0 while nothing is watched.
  private static let deadline = Atomic<Int>(0)
  nonisolated(unsafe) private static var replay: (UInt64) -> String = { _ in "" }

  static func start(replay: @escaping (UInt64) -> String) {
    self.replay = replay
    var thread = pthread_t()
    pthread_create(
      &thread, nil,
      { _ in
        while true {
          usleep(200_000)
          let deadline = Watchdog.deadline.load(ordering: .acquiring)
          guard deadline > 0, time(nil) > deadline else { continue }
          let seed = Watchdog.seed.load(ordering: .relaxed)
          print("seed \(seed): hangs; replay: \(Watchdog.replay(seed))")
          fflush(nil)
          _exit(3)
        }
      }, nil)
  }

  static func watch<Result>(_ seed: UInt64, seconds: Int, _ body: () throws -> Result) rethrows
    -> Result
  {
    Self.seed.store(seed, ordering: .relaxed)
    deadline.store(time(nil) + seconds, ordering: .releasing)
    defer { deadline.store(0, ordering: .releasing) }
    return try body()
  }
}
