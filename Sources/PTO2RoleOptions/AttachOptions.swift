package import ArgumentParser
internal import PTO2System

/// What scheduler, link and worker are told on their command lines: the session that they are of.
package struct AttachOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Name of the segment in /dev/shm.", valueName: "name"))
  package var segment: String

  @Option(
    help: ArgumentHelp("Seconds to wait for the segment to appear.", valueName: "seconds"),
    transform: { try readSeconds($0) })
  package var attachTimeout: Double = 10

  /// The orchestrator that has started this process.
  @Option(help: .hidden)
  package var parent: Int32?

  package init() {}

  package func validate() throws {
    guard attachTimeout >= 0, attachTimeout <= 86400 else {
      throw ValidationError("--attach-timeout \(attachTimeout): expected 0 to 86400 seconds")
    }
  }
}
