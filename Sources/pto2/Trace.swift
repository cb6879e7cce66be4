internal import ArgumentParser
internal import PTO2Sight
internal import PTO2System
internal import PTO2Trace

struct TraceCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "trace",
    abstract: "Shows what a trace has, in numbers.",
    discussion: """
      For a file that a run with --trace FILE has written, in Perfetto's format: how long each \
      kernel took, and each part of a task's way; what each core did; deaths and faults; what was \
      dropped. https://ui.perfetto.dev shows the same file as a picture.

      Exit status: 0, 1 when records were dropped or overwritten, 64 for wrong usage, 73 when the \
      file is no such trace.

      Examples:
        pto2 trace run.pftrace
        pto2 trace run.pftrace --json
      """)

  @Argument(help: "The file.", completion: .file()) var file: String
  @Flag(help: "One JSON object.") var json = false

  func run() throws {
    let summary = TraceSummary(try readTrace(file))
    try sayText(json ? summary.json.text + "\n" : summary.text)
    if summary.session.dropped + summary.session.damaged > 0 { throw ExitCode(1) }
  }
}

/// - Throws: status 73, after a line that says why.
func readTrace(_ path: String) throws -> Trace {
  do throws(TraceFileError) { return try Trace.read(path) } catch {
    writeError("pto2: error: \(printable("\(error)"))")
    throw ExitCode(Status.noSegment)
  }
}
