import Harness
import PTO2System
import Synchronization
import Testing

/// Every test of a suite is run as it is, and again in surroundings that are none of its
/// business: in two different ones, a test with arguments with the first of them in one and with
/// the second in another. In them a test begins the executables of `Command`, which must do what
/// they do anywhere. What the test's own process is an orchestrator of stays where it is.
struct Elsewhere: SuiteTrait, TestTrait, TestScoping {
  let isRecursive = true

  /// Each bearable by itself (`Surroundings.bearable`), and what tests look at is left: output,
  /// the signals that they send, stopped processes, which CPUs there are, and that nobody but a
  /// kernel sleeps (as they would without futex_waitv and pidfd_open).
  static let places: [[String]] = [
    ["close=0", "ignore=13,17", "umask=77"],
    ["block=all", "nofile=64", "deny=1:424"],
    ["cwd=gone", "stack=262144", "memlock=0", "core=0", "nice=5"],
  ]
  /// They take as long again twice: `make test-elsewhere`.
  private static let possible =
    environment("PTO2_TEST_ELSEWHERE") == nil
    ? [] : places.filter { Surroundings(settings: $0).arePossible }
  /// How often a test was run elsewhere.
  private static let counts = Mutex<[Test.ID: Int]>([:])

  func provideScope(
    for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
  ) async throws {
    try await function()
    let wanted = testCase?.isParameterized == true ? 1 : 2
    for place in Self.next(wanted, for: test) {
      let says: IssueHandlingTrait = .compactMapIssues { issue in
        var issue = issue
        issue.comments.append("in \(place.joined(separator: " "))")
        return issue
      }
      try await says.provideScope(for: test, testCase: testCase) {
        try await Command.$around.withValue(place, operation: function)
      }
    }
  }

  /// The places that follow those of this test; none when it has been in two. Tests begin with
  /// different ones.
  private static func next(_ wanted: Int, for test: Test) -> [[String]] {
    guard !possible.isEmpty else { return [] }
    let first = test.name.utf8.reduce(0) { $0 + Int($1) }
    return counts.withLock { counts in
      let done = counts[test.id, default: 0]
      counts[test.id] = min(2, done + wanted)
      return (done..<min(2, done + wanted)).map { possible[(first + $0) % possible.count] }
    }
  }
}

extension Trait where Self == Elsewhere {
  static var elsewhereToo: Self { Elsewhere() }
}
