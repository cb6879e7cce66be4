internal import ArgumentParser
internal import Glibc
internal import PTO2Link
internal import PTO2Protocol
internal import PTO2RoleOptions
internal import PTO2Segment
internal import PTO2System

@main
enum Main {
  static func main() {
    holdStandardDescriptors()
    guard let launch = SupervisedLaunch(Array(CommandLine.arguments.dropFirst())),
      launch.core == nil
    else { return LinkCommand.main() }
    ignoreTerminalSignals()
    exit(runToEnd(segment: launch.segment, parent: launch.parent))
  }
}

/// Carries tensors until the end of the session.
/// - Parameter parent: the orchestrator that has started this process, if one has.
/// - Returns: the exit status.
private func runToEnd(segment: String, parent: Int32?, attachTimeoutSeconds: Double = 10)
  -> Int32
{
  if let lack = lackOfMemory() {
    writeError("pto2-link: error: \(lack)")
    return 73
  }
  do {
    let end = try runLink(
      name: segment, parent: parent,
      attachTimeoutMilliseconds: UInt64(attachTimeoutSeconds * 1000))
    guard let error = end else { return 0 }
    // The orchestrator reports errors as long as it lives.
    if parent == nil || getppid() != parent { writeError("pto2-link: \(error)") }
    return error.exitStatus
  } catch {
    // The orchestrator reports a truncated segment itself.
    let isTruncated = if case .truncated = error { true } else { false }
    if parent == nil || !isTruncated { writeError("pto2-link: error: \(error)") }
    return 73
  }
}

struct LinkCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pto2-link",
    abstract: "The link of a rank of a pto2 session: speaks to the other ranks.",
    discussion: """
      Carries tensors between ranks. Where mpirun starts a program several times, the \
      orchestrator of each rank starts one by itself. To start it by hand, run the orchestrator with --no-launch --segment NAME and \
      then, with the environment that mpirun gave it:

        pto2-link --segment NAME.r0

      It alone speaks MPI, through libpto2-link-mpi.so, which `make link` builds. That is looked \
      for where PTO2_LINK says, beside this executable, in ../lib and in ../lib/pto2. A rank that \
      is waited for and not heard of for 30 seconds is an error; PTO2_PEER_TIMEOUT=SECONDS \
      changes that.

      It ends with the session. Exit status: 0 after a clean end, 40 to 54 for faults of \
      processes and ranks, 64 for wrong usage, 73 when it cannot attach; docs/operations.md \
      lists all.
      """,
    version: versionText("pto2-link"))

  @OptionGroup var options: AttachOptions

  func run() throws {
    // A supervised link outlives its orchestrator long enough to end the other ranks.
    if options.parent != nil { ignoreTerminalSignals() }
    let status = runToEnd(
      segment: options.segment, parent: options.parent,
      attachTimeoutSeconds: options.attachTimeout)
    if status != 0 { throw ExitCode(status) }
  }
}
