internal import ArgumentParser
internal import PTO2Sight
internal import PTO2System
internal import PTO2Trace

struct TraceCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "trace",
    abstract: "Shows what a trace has, in numbers; makes one of those of several ranks.",
    discussion: """
      For a file that a run with --trace FILE has written, in Perfetto's format: how long each \
      kernel took, and each part of a task's way; what each core did; deaths and faults; what was \
      dropped. https://ui.perfetto.dev shows the same file as a picture.

      --npy writes all of it as well, as arrays of records that numpy.load reads: tasks.npy, \
      runs.npy, edges.npy, events.npy, and kernels.npy, scopes.npy and names.npy.

      Of the files of several ranks of one run, --merge makes one: each rank has its tracks, and \
      an arrow leads from a transfer's sending to its receiving. Times of ranks on one machine \
      are as they were; those of another machine begin where those of the first rank's do.

      Exit status: 0, 1 when records were dropped or overwritten, 64 for wrong usage, 73 when a \
      file is no such trace, 74 when the output cannot be written.

      Examples:
        pto2 trace run.pftrace
        pto2 trace run.pftrace --json
        pto2 trace run.pftrace --npy arrays
        pto2 trace run.r0.pftrace run.r1.pftrace --merge ./ranks.pftrace
      """)

  @Argument(help: "The file; with --merge one for each rank.", completion: .file())
  var files: [String]
  @Option(
    help: ArgumentHelp("A folder that is there, for arrays.", valueName: "folder"),
    completion: .directory)
  var npy: String?
  @Option(
    help: ArgumentHelp("Where the trace of all ranks goes; it is replaced.", valueName: "file"),
    completion: .file())
  var merge: String?
  @Flag(help: "One JSON object.") var json = false

  func validate() throws {
    if files.count > 1 && merge == nil {
      throw ValidationError("\(files.count) files: one, or --merge FILE")
    }
    if merge != nil && files.count < 2 { throw ValidationError("--merge: one file, not several") }
    if npy != nil && merge != nil { throw ValidationError("--npy goes without --merge") }
  }

  func run() throws {
    if let merge { return try run(mergedTo: merge) }
    let trace = try readTrace(files[0])
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

  private func run(mergedTo path: String) throws {
    var traces: [Trace] = []
    for file in files {
      let trace = try readTrace(file)
      let session = trace.session
      if let other = traces.firstIndex(where: { $0.session.rank == session.rank }) {
        throw ValidationError(
          "\(file) and \(files[other]) are both of rank \(session.rank): expected one of each")
      }
      if let first = traces.first, first.session.ranks != session.ranks {
        throw ValidationError(
          "\(file) is of a run with \(session.ranks) ranks, \(files[0]) of \(first.session.ranks)")
      }
      traces.append(trace)
    }
    traces.sort { $0.session.rank < $1.session.rank }
    // The first time of each machine, all of whose ranks have one clock.
    let begins = Dictionary(
      traces.map { ($0.session.boot, $0.span.lowerBound) }, uniquingKeysWith: min)
    let first = traces[0].session.boot
    for place in traces.indices where traces[place].session.boot != first {
      let own = begins[traces[place].session.boot] ?? 0
      traces[place].shift(by: (begins[first] ?? 0) &- own)
    }
    let file: OutputFile
    do throws(SystemError) {
      file = try OutputFile(creating: path)
      Trace.writePerfetto(ranks: traces, to: file)
      if let error = file.error { throw error }
    } catch {
      writeError("pto2: error: \(error)")
      throw ExitCode(Status.lostOutput)
    }
    let lost = traces.reduce(0 as UInt64) { $0 &+ $1.session.dropped &+ $1.session.damaged }
    if json {
      var object = JSONObject()
      object.add("file", path)
      object.add("bytes", file.bytes)
      object.add("ranks", traces.count)
      object.add("tasks", traces.reduce(0) { $0 + $1.tasks.count })
      object.add("dropped", lost)
      try say(object.text)
    }
    if lost > 0 { throw ExitCode(1) }
  }
}

/// - Throws: status 73, after a line that says why.
func readTrace(_ path: String) throws -> Trace {
  do throws(TraceFileError) { return try Trace.read(path) } catch {
    writeError("pto2: error: \(printable("\(error)"))")
    throw ExitCode(Status.noSegment)
  }
}
