public import ArgumentParser
internal import PTO2
internal import PTO2Segment
internal import PTO2System

/// What is recorded of a session.
public struct TraceOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Records what becomes of each task, and when, and writes it to a file at the end.",
      discussion: """
        Perfetto's format, for https://ui.perfetto.dev and `pto2 trace`; Chrome's JSON where the \
        name ends in .json.
        """, valueName: "file"), completion: .file())
  public var trace: String?

  @Option(
    help: ArgumentHelp(
      "Bytes of each trace buffer, one a core, a scheduler thread, and the program (default: 4M). What finds one full is dropped, and counted.",
      valueName: "bytes"))
  public var traceBuffer: String?

  @Flag(help: "The trace has every dependency, as a flow.")
  public var traceEdges: Bool = false

  public init() {}

  func configuration() throws(ConfigurationError) -> PTO2.Configuration.Trace? {
    guard let file = trace else {
      guard traceBuffer == nil, !traceEdges else {
        throw ConfigurationError(
          variable: traceBuffer == nil ? "--trace-edges" : "--trace-buffer",
          value: traceBuffer ?? "given", range: "--trace FILE beside it")
      }
      return nil
    }
    guard !file.isEmpty else {
      throw ConfigurationError(variable: "--trace", value: "\"\"", range: "the name of a file")
    }
    var result = PTO2.Configuration.Trace(file: file)
    if let traceBuffer {
      guard let bytes = parseSize(traceBuffer).flatMap({ Int(exactly: $0) }) else {
        throw ConfigurationError(
          variable: "--trace-buffer", value: traceBuffer, range: "bytes, with K, M or G")
      }
      result.bufferBytes = bytes
    }
    result.hasEdges = traceEdges
    return result
  }
}
