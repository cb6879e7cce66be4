internal import ArgumentParser
internal import PTO2Protocol
internal import PTO2Scheduler
internal import PTO2Segment
internal import PTO2System

@main
struct SchedulerCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pto2-scheduler",
    abstract: "The scheduler process of a pto2 session: wires, dispatches, reclaims.",
    discussion: """
      The orchestrator starts it by itself. To start it by hand, run the orchestrator with
      --no-launch --segment NAME and then, in another terminal:

        pto2-scheduler --segment NAME

      It ends with the session. Exit status: 0 after a clean end, 40 to 49 for process
      faults, 64 for wrong usage, 73 when it cannot attach; docs/operations.md lists all.
      """)

  @Option(help: ArgumentHelp("Name of the segment in /dev/shm.", valueName: "name"))
  var segment: String

  @Option(help: ArgumentHelp("Seconds to wait for the segment to appear.", valueName: "seconds"))
  var attachTimeout: Double = 10

  @Option(help: .hidden)
  var parent: Int32?

  func validate() throws {
    guard attachTimeout >= 0, attachTimeout <= 86400 else {
      throw ValidationError("--attach-timeout \(attachTimeout): expected 0 to 86400 seconds")
    }
  }

  func run() throws {
    // A supervised scheduler outlives its orchestrator long enough to clean up.
    if parent != nil { ignoreTerminalSignals() }
    do {
      let error = try runScheduler(
        name: segment, isSupervised: parent != nil,
        attachTimeoutMilliseconds: UInt64(attachTimeout * 1000))
      if let error {
        if parent == nil || error.code == .orchestratorDied {
          writeError("pto2-scheduler: \(error)")
        }
        throw ExitCode(error.code.exitStatus)
      }
    } catch let error as SegmentError {
      writeError("pto2-scheduler: error: \(error)")
      throw ExitCode(73)
    }
  }
}
