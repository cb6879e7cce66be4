import Glibc
import PTO2System

enum Role: String, CaseIterable {
  case worker, scheduler, orchestrator
}

/// One thing done to a session, so long after the one before.
struct Strike {
  var delayMicroseconds: Int
  var role: Role
  var signal: Int32
  /// SIGSTOP is followed by SIGCONT after so long.
  var stopMicroseconds = 0
}

/// What a session is made of and what is done to it: all of it from the seed and the
/// session's number.
struct SessionPlan {
  let number: Int
  let shape: GraphShape
  /// Name of the executable, and its arguments but for the segment.
  let executable: String
  let arguments: [String]
  var strikes: [Strike] = []
  /// Of the numbers not yet used: which process of a role it is.
  var random: SplitMix64

  /// Crashes of the scheduler that a run survives.
  private static let maximumSchedulerCrashes = 10

  init(seed: UInt64, number: Int, isSabotaged: Bool = false) {
    self.number = number
    var random = SplitMix64(seed: seed &+ UInt64(number) &* 0x9E37_79B9_7F4A_7C15)
    shape = GraphShape.allCases[number % GraphShape.allCases.count]
    func pick<T>(_ values: [T]) -> T { values.randomElement(using: &random)! }
    let sabotage = isSabotaged ? ["--sabotage"] : []
    if shape == .random {
      executable = "pto2-random"
      arguments =
        [
          "--seed", "\(random.next() >> 32)", "--recoverable", "--tasks", "\(pick([800, 1500]))",
        ] + sabotage
    } else {
      executable = "pto2-campaign"
      let spin = pick([20, 60, 150])
      let window = pick([4, 16, 256])
      let first = pick([0, UInt32.max - 300, 0x7FFF_FF00])
      arguments =
        [
          "program", "--shape", shape.rawValue, "--spin", "\(spin)",
          "--tasks", "\((shape == .chain ? 80_000 : 160_000) / spin)",
          "--elements", "\(pick([1, 7, 64]))", "--width", "\(pick([1, 3, 6, 24]))",
          "--clusters", "\(Int.random(in: 1...4, using: &random))",
          "--threads", "\(Int.random(in: 1...3, using: &random))",
          "--lanes", "\(pick([1, 2, 4]))", "--rings", "\(pick([1, 2, 4]))",
          "--task-window", "\(window)", "--consumed-window", "\(max(64, 4 * window))",
          "--dep-pool", "\(pick([64, 4096]))", "--heap", pick(["64K", "4M"]),
          "--first-position", "\(first)", "--arena", "64M",
        ] + sabotage
    }
    // From a tenth of a millisecond, evenly in orders of magnitude.
    func delay() -> Int { Int(exp(Double.random(in: log(100)...log(25000), using: &random))) }
    var crashes = 0
    for _ in 0..<Int.random(in: 2...14, using: &random) {
      var strike = Strike(
        delayMicroseconds: delay(), role: pick([.worker, .worker, .worker, .scheduler]),
        signal: pick([SIGKILL, SIGKILL, SIGKILL, SIGKILL, SIGKILL, SIGKILL, SIGSEGV, SIGSTOP]))
      if strike.signal == SIGSTOP {
        strike.role = pick(Role.allCases)
        strike.stopMicroseconds = delay()
      } else if strike.role == .scheduler && strike.signal == SIGSEGV {
        crashes += 1
        if crashes > Self.maximumSchedulerCrashes { strike.signal = SIGKILL }
      }
      strikes.append(strike)
    }
    // One session in six ends with its orchestrator; of these one in six early.
    if Int.random(in: 0..<6, using: &random) == 0 {
      if Int.random(in: 0..<6, using: &random) == 0 { strikes = [] }
      strikes.append(
        Strike(
          delayMicroseconds: delay(), role: .orchestrator,
          signal: pick([SIGKILL, SIGKILL, SIGKILL, SIGSEGV, SIGTERM])))
    }
    self.random = random
  }

  /// Nothing is waited for before the first strike.
  var isEarly: Bool { strikes.count == 1 }
  var endsOrchestrator: Int32? {
    strikes.last.flatMap { $0.role == .orchestrator && $0.signal != SIGSTOP ? $0.signal : nil }
  }
}
