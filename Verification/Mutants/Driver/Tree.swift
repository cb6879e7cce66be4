internal import Harness
internal import PTO2System

/// A copy of the tree, with its build products, so that builds are incremental.
struct Tree {
  /// What one killer says.
  enum Verdict {
    case killed(String)
    case survived
    case doesNotBuild(String)
  }

  private let folder: String
  private let root: String

  /// Longer than a build or a killer takes on a machine with much else to do: what does not
  /// come to its end is hung.
  private static let watchdogSeconds = 1800
  /// The same for the tests of one name.
  private static let testSeconds = 600

  init() {
    folder = Command.temporaryDirectory()
    root = folder + "/tree/"
    let copy =
      "mkdir \(root) && tar cf - --exclude=.git --exclude=ModuleCache . | tar xf - -C \(root)"
    let result = shell(copy, in: repositoryRoot, seconds: 600)
    precondition(result.status == 0, "cannot copy the tree: \(result.errors)")
  }

  func remove() { _ = shell("rm -rf \(folder)", in: "/", seconds: 600) }

  /// - Returns: false when it does not fit the code.
  func apply(_ mutant: Mutant) -> Bool {
    shell("git apply \(mutant.path)", in: root, seconds: 60).status == 0
  }

  func revert(_ mutant: Mutant) {
    let result = shell("git apply --reverse \(mutant.path)", in: root, seconds: 60)
    precondition(result.status == 0, "cannot undo \(mutant.name): \(result.errors)")
  }

  func ask(_ killer: String) -> Verdict {
    killer == "sim" ? askSimulation() : askTests(killer)
  }

  private func askSimulation() -> Verdict {
    let built = shell("make simulator", in: root)
    guard built.status == 0 else { return .doesNotBuild(firstError(built)) }
    let result = shell(
      "exec Verification/.build/simulate/release/pto2-simulate --stop-at-first", in: root)
    let all = result.output + result.errors
    let failed = all.split(separator: "\n").first { $0.hasPrefix("FAILED ") }
    if let failed { return .killed(String(failed.dropFirst(7).prefix { $0 != ":" })) }
    return result.status != 0 ? .killed("it crashes, or does not end") : .survived
  }

  private func askTests(_ filter: String) -> Verdict {
    // Processes are those of the release build.
    let processes = ["RecoveryTests", "ProcessTests"].contains(filter) ? "make build && " : ""
    let built = shell(processes + "$SWIFT build --product pto2PackageTests", in: root)
    guard built.status == 0 else { return .doesNotBuild(firstError(built)) }
    let result = shell(
      "PTO2_TEST_BIN=\(root).build/release exec $SWIFT test --skip-build --filter \(filter)",
      in: root, seconds: Self.testSeconds)
    guard result.status != 0 else { return .survived }
    let lines = (result.output + result.errors).split(separator: "\n")
    let failed = lines.first { $0.contains(" recorded an issue") || $0.contains(" failed after") }
    let name = failed?.split(separator: " ").first { $0.contains("(") }
    return .killed(name.map(String.init) ?? "the tests crashed or did not end")
  }

  private func firstError(_ result: Command.Result) -> String {
    let lines = (result.output + result.errors).split(separator: "\n")
    return String((lines.first { $0.contains("error:") } ?? "no message").prefix(90))
  }

  private func shell(
    _ text: String, in folder: String, seconds: Int = watchdogSeconds
  ) -> Command.Result {
    Command(
      "/bin/sh", ["-c", text], environment: ["SWIFT": environment("SWIFT") ?? "swift"],
      workingDirectory: folder
    ).wait(seconds: seconds)
  }
}
