/// What a run did, in numbers; see `RuntimeOptions.measure`.
public struct RunFigures: Sendable {
  /// From the start of the session to the end of its processes.
  public var seconds: Double
  /// Time in which submitted tasks were unfinished.
  public var graphSeconds: Double
  public var tasks: UInt64
  public var edges: UInt64
  /// Kernel runs, and the time in them over all cores.
  public var kernels: UInt64
  public var kernelSeconds: Double
  /// How often and how long a full ring held the program up.
  public var waits: UInt64
  public var waitSeconds: Double

  init(_ report: Report) {
    seconds = report.seconds
    graphSeconds = report.graphSeconds
    tasks = report.tasks
    edges = report.edges
    kernels = report.kernels
    kernelSeconds = report.kernelSeconds
    waits = report.stalls.reduce(0) { $0 + $1.1.count }
    waitSeconds = report.stalls.reduce(0) { $0 + Double($1.1.nanoseconds) / 1e9 }
  }
}
