internal import Glibc
internal import PTO2System
internal import Synchronization

/// The signal that has asked for the end; 0: none.
private let endingSignal = Atomic<Int32>(0)

/// Scripts as tests: each in a session of its own, some at a time.
package struct Suite: Sendable {
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

  /// Runs all of them, each in a thread of its own, so that none waits for another's judge.
  /// - Parameter show: called with each result as it comes, and its number from 1 on.
  package func run(_ show: (Int, TrialResult) throws -> Void) throws -> Ending {
    for number in [SIGINT, SIGTERM, SIGHUP, SIGQUIT] {
      signal(number) { endingSignal.store($0, ordering: .relaxed) }
    }
    signal(SIGCHLD, SIG_DFL)
    let state = Shared()
    var threads: [SpawnedThread] = []
    defer {
      state.stop()
      for thread in threads { thread.join() }
    }
    for _ in 0..<min(jobs, count) {
      threads.append(try spawnThread("scripts") { [self] in work(state) })
    }
    var ending = Ending()
    while ending.results.count < count {
      let signal = endingSignal.load(ordering: .relaxed)
      if signal != 0 {
        ending.signal = signal
        return ending
      }
      for (number, result) in state.takeResults() {
        ending.results.append(result)
        try show(number + 1, result)
      }
      sleepNanoseconds(1_000_000)
    }
    return ending
  }

  /// One run after another, until there is none left.
  private func work(_ state: Shared) {
    while let number = state.takeNumber(below: count) {
      let (file, seed) = (files[number / rounds], seed + number % rounds)
      do {
        let trial = try Trial(number, file, seed: seed, tool: tool)
        let keep = isKeeping ? keepPath(trial) : nil
        while !state.isStopped {
          if let result = trial.poll(keepsTo: keep) {
            state.add(number, result)
            break
          }
          sleepNanoseconds(1_000_000)
        }
      } catch {
        let failure = TrialResult(file: file, seed: seed, seconds: 0, failures: ["\(error)"])
        state.add(number, failure)
      }
    }
  }

  private func keepPath(_ trial: Trial) -> String {
    let suffix = rounds > 1 ? "-\(trial.seed)" : ""
    return "./\(trial.file.name)\(suffix).segment"
  }
}

/// What the threads of a suite share.
private final class Shared: Sendable {
  private struct State {
    var next = 0
    var results: [(Int, TrialResult)] = []
    var isStopped = false
  }

  private let state = Mutex(State())

  func takeNumber(below count: Int) -> Int? {
    state.withLock { state in
      guard state.next < count, !state.isStopped else { return nil }
      state.next += 1
      return state.next - 1
    }
  }

  func add(_ number: Int, _ result: TrialResult) {
    state.withLock { $0.results.append((number, result)) }
  }

  func takeResults() -> [(Int, TrialResult)] {
    state.withLock { state in
      defer { state.results = [] }
      return state.results
    }
  }

  func stop() { state.withLock { $0.isStopped = true } }
  /// Also once a signal has asked for the end.
  var isStopped: Bool {
    endingSignal.load(ordering: .relaxed) != 0 || state.withLock { $0.isStopped }
  }
}
