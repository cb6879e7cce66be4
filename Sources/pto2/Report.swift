internal import ArgumentParser
internal import PTO2System
internal import PTO2Trace

struct Report: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Makes a page of HTML from a trace.",
    discussion: """
      One file that needs no network and no other file: cores over time, with zoom and hover; \
      the critical path; latencies; how full the rings were; deaths and faults.

      Exit status: 0, 64 for wrong usage, 73 when the file is no trace, 74 when the page cannot \
      be written.

      Examples:
        pto2 report run.pftrace -o report.html
        pto2 report run.pftrace -o report.html --json
      """)

  @Argument(help: "The trace.", completion: .file()) var file: String
  @Option(
    name: .shortAndLong, help: "Where the page goes; it is replaced.", completion: .file())
  var output: String
  @Flag(help: "Says what was written, as one JSON object.") var json = false

  func run() throws {
    let trace = try readTrace(file)
    let page: OutputFile
    do throws(SystemError) {
      page = try OutputFile(creating: output)
      trace.writeReport(to: page)
      if let error = page.error { throw error }
    } catch {
      writeError("pto2: error: \(error)")
      throw ExitCode(Status.lostOutput)
    }
    guard json else { return }
    var object = JSONObject()
    object.add("file", output)
    object.add("bytes", page.bytes)
    object.add("tasks", trace.tasks.count)
    object.add("runs", trace.runs.count)
    try say(object.text)
  }
}
