internal import Glibc
internal import PTO2System
internal import Synchronization

/// The signal that has asked for the end; 0: none.
private let endingSignal = Atomic<Int32>(0)

/// Scripts as tests: each in a session of its own, some at a time.
package struct Suite {
  package var files: [ScriptFile]
  /// Runs at a time.
  package var jobs = 1
  /// Times that each script is run, with seeds from `seed` on.
  package var rounds = 1
  package var seed = 1
  /// The segment of a failure is copied to the working folder.
  package var isKeeping = false
  /// The executable of this tool.
  package let tool: String

  package init(files: [ScriptFile], tool: String) {
    self.files = files
    self.tool = tool
  }

  package var count: Int { files.count * rounds }

  /// What a run of many scripts has come to.
  package struct Ending {
    package var results: [TrialResult] = []
    /// The signal that has ended it early.
    package var signal: Int32?
  }

  /// Runs all of them.
  /// - Parameter show: called with each result as it comes, and its number from 1 on.
  package func run(_ show: (Int, TrialResult) throws -> Void) throws -> Ending {
    for number in [SIGINT, SIGTERM, SIGHUP, SIGQUIT] {
      signal(number) { endingSignal.store($0, ordering: .relaxed) }
    }
    signal(SIGCHLD, SIG_DFL)
    var ending = Ending()
    var running: [Trial] = []
    var next = 0
    while next < count || !running.isEmpty {
      let signal = endingSignal.load(ordering: .relaxed)
      if signal != 0 {
        ending.signal = signal
        // Their ends clean up.
        running = []
        return ending
      }
      while running.count < jobs && next < count {
        running.append(try start(next))
        next += 1
      }
      var index = 0
      while index < running.count {
        let trial = running[index]
        let keep = isKeeping ? keepPath(trial) : nil
        if let result = trial.poll(keepsTo: keep) {
          running.remove(at: index)
          ending.results.append(result)
          try show(trial.number + 1, result)
        } else {
          index += 1
        }
      }
      sleepNanoseconds(1_000_000)
    }
    return ending
  }

  private func start(_ number: Int) throws -> Trial {
    try Trial(
      number, files[number / rounds], seed: seed + number % rounds, tool: tool)
  }

  private func keepPath(_ trial: Trial) -> String {
    let suffix = rounds > 1 ? "-\(trial.seed)" : ""
    return "./\(trial.file.name)\(suffix).segment"
  }
}
