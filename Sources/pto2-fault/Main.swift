internal import ArgumentParser
internal import Glibc
internal import PTO2Faults
internal import PTO2Segment
internal import PTO2System

@main
struct FaultCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pto2-fault",
    abstract: "Does the faults of a script to a session.",
    discussion: """
      The orchestrator starts it, for its option --faults FILE, and tells it the script through \
      a pipe; it has no other use.
      """,
    version: versionText("pto2-fault"))

  @Option(help: ArgumentHelp("Name of the segment in /dev/shm.", valueName: "name"))
  var segment: String

  @Option(help: ArgumentHelp("Process id of the orchestrator.", valueName: "pid"))
  var parent: Int32

  @Option(help: ArgumentHelp("Descriptor from which the script comes.", valueName: "fd"))
  var control: Int32

  @Option(help: ArgumentHelp("Descriptor for what has been done.", valueName: "fd"))
  var report: Int32

  func run() throws {
    holdStandardDescriptors()
    // The orchestrator closes its end, or dies: that ends this process.
    signal(SIGPIPE, SIG_IGN)
    ignoreTerminalSignals()
    guard let text = readScript() else { return }
    let engine: FaultEngine
    do {
      engine = try FaultEngine(
        try FaultScript(text), segment: segment, parent: parent, control: control)
    } catch {
      say("error \(error)\n")
      throw ExitCode(1)
    }
    say("ready\n")
    engine.run()
    let counts = engine.counts
    say(
      counts.map { "\($0.fired) \($0.chances) \($0.lastNanoseconds)\n" }.joined() + "end\n")
    if getppid() != parent {
      let fired = counts.enumerated().filter { $0.element.fired > 0 }
        .map { "fault \($0.offset) \($0.element.fired) time(s)" }
      writeError(
        "pto2-fault: the orchestrator has ended; fired: "
          + (fired.isEmpty ? "none" : fired.joined(separator: ", ")))
    }
  }

  /// Up to the NUL byte; nil when the orchestrator is gone.
  private func readScript() -> String? {
    var bytes: [UInt8] = []
    var byte: UInt8 = 0
    while unsafe read(control, &byte, 1) == 1 {
      if byte == 0 { return String(decoding: bytes, as: UTF8.self) }
      bytes.append(byte)
    }
    return nil
  }

  private func say(_ text: String) {
    let bytes = [UInt8](text.utf8)
    _ = unsafe bytes.withUnsafeBytes { unsafe write(report, $0.baseAddress!, $0.count) }
  }
}
