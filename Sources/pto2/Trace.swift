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

      --npy writes all of it as well, as arrays of records that numpy.load reads: tasks.npy, \
      runs.npy, edges.npy, events.npy, and kernels.npy and scopes.npy with the names.

      Exit status: 0, 1 when records were dropped or overwritten, 64 for wrong usage, 73 when the \
      file is no such trace, 74 when the arrays cannot be written.

      Examples:
        pto2 trace run.pftrace
        pto2 trace run.pftrace --json
        pto2 trace run.pftrace --npy arrays
      """)

  @Argument(help: "The file.", completion: .file()) var file: String
  @Option(
    help: ArgumentHelp("A folder that is there, for arrays.", valueName: "folder"),
    completion: .directory)
  var npy: String?
  @Flag(help: "One JSON object.") var json = false

  func run() throws {
    let trace = try readTrace(file)
    if let npy {
      do throws(SystemError) { try trace.writeArrays(to: npy) } catch {
        writeError("pto2: error: \(error)")
        throw ExitCode(Status.lostOutput)
      }
    }
    let summary = TraceSummary(trace)
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
