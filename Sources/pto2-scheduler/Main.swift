internal import ArgumentParser
internal import Glibc
internal import PTO2Protocol
internal import PTO2RoleOptions
internal import PTO2Scheduler
internal import PTO2Segment
internal import PTO2System

@main
enum Main {
  static func main() {
    holdStandardDescriptors()
    guard let launch = SupervisedLaunch(Array(CommandLine.arguments.dropFirst())),
      launch.core == nil
    else { return SchedulerCommand.main() }
    ignoreTerminalSignals()
    exit(runToEnd(segment: launch.segment, parent: launch.parent))
  }
}

/// Schedules until the end of the session.
/// - Parameter parent: the orchestrator that has started this process, if one has.
/// - Returns: the exit status.
private func runToEnd(segment: String, parent: Int32?, attachTimeoutSeconds: Double = 10)
  -> Int32
{
  if let lack = lackOfMemory() {
    writeError("pto2-scheduler: error: \(lack)")
    return 73
  }
  let isSupervised = parent != nil
  do {
    let end = try runScheduler(
      name: segment, isSupervised: isSupervised,
      attachTimeoutMilliseconds: UInt64(attachTimeoutSeconds * 1000))
    guard let error = end else { return 0 }
    // The orchestrator reports errors as long as it lives; a truncated segment may be what it
    // has died of, and has told.
    let isReported =
      isSupervised && error.code != .orchestratorDied
      && (getppid() == parent || error.code == .segmentTruncated)
    if !isReported { writeError("pto2-scheduler: \(error)") }
    return error.code.exitStatus
  } catch {
    // The orchestrator reports a truncated segment itself.
    let isTruncated = if case .truncated = error { true } else { false }
    if !isSupervised || !isTruncated { writeError("pto2-scheduler: error: \(error)") }
    return 73
  }
}

struct SchedulerCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pto2-scheduler",
    abstract: "The scheduler process of a pto2 session: wires, dispatches, reclaims.",
    discussion: """
      The orchestrator starts it by itself. To start it by hand, run the orchestrator with \
      --no-launch --segment NAME and then, in another terminal:

        pto2-scheduler --segment NAME

      It ends with the session. Exit status: 0 after a clean end, 40 to 49 for process \
      faults, 64 for wrong usage, 73 when it cannot attach; docs/operations.md lists all.
      """,
    version: versionText("pto2-scheduler"))

  @OptionGroup var options: AttachOptions

  func run() throws {
    // A supervised scheduler outlives its orchestrator long enough to clean up.
    if options.parent != nil { ignoreTerminalSignals() }
    let status = runToEnd(
      segment: options.segment, parent: options.parent,
      attachTimeoutSeconds: options.attachTimeout)
    if status != 0 { throw ExitCode(status) }
  }
}
