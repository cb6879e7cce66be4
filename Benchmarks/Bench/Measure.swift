import CBenchRaw
import PTO2
import PTO2System

/// How far apart the two CPUs are, by the raw ping-pong before and after.
enum Placement: String, CaseIterable {
  case near, far
  /// It changed meanwhile.
  case mixed

  static let limit = 0.25

  init(before: Double, after: Double) {
    switch (before < Self.limit, after < Self.limit) {
    case (true, true): self = .near
    case (false, false): self = .far
    default: self = .mixed
    }
  }
}

/// One run of one benchmark, in microseconds.
struct Sample {
  var placement = Placement.near
  var pingPong = 0.0
  /// A task; nil where nothing is submitted.
  var submit: Double?
  /// A task, hop or run.
  var endToEnd = 0.0
  var tasks = 0
  /// How often a full ring held the program up, which spoils `submit`.
  var waits: UInt64 = 0
}

struct BenchError: Error, CustomStringConvertible {
  var description: String
  init(_ description: String) { self.description = description }
}

/// How much is measured.
struct Extent {
  var tasks: Int
  var roundTrips: UInt32
  var hops: Int
}

/// Runs a benchmark once, between two raw ping-pongs.
func sample(_ benchmark: Benchmark, _ extent: Extent) throws -> Sample {
  let before = try pingPong(extent)
  var sample = try run(benchmark, extent)
  let after = try pingPong(extent)
  sample.placement = Placement(before: before, after: after)
  sample.pingPong = (before + after) / 2
  return sample
}

private func pingPong(_ extent: Extent) throws -> Double {
  let microseconds = bench_ping_pong(extent.roundTrips, 5)
  guard microseconds > 0 else { throw BenchError("the raw ping-pong did not come to an end") }
  return microseconds
}

private func run(_ benchmark: Benchmark, _ extent: Extent) throws -> Sample {
  var sample = Sample()
  switch benchmark.kind {
  case .registerHop:
    sample.endToEnd = try RegisterHop.measure(hops: extent.hops)
    sample.tasks = extent.hops
  case .wholeRun:
    let begin = bench_nanoseconds()
    let report = try runSession(benchmark, tasks: 1) { graph in
      try graph.submit(aiv: graph.kernel("empty_aiv")) { _ in }
    }
    sample.endToEnd = Double(bench_nanoseconds() - begin) / 1e3
    sample.tasks = report.tasks
  case .nextRun:
    let session = try Session(
      configuration(benchmark, tasks: 1), images: ["BenchKernels"])
    defer { session.close() }
    func once(_ graph: Graph) throws { try graph.submit(aiv: graph.kernel("empty_aiv")) { _ in } }
    try session.run(once)
    let runs = 50
    let begin = bench_nanoseconds()
    for _ in 0..<runs { sample.tasks = try session.run(once).tasks }
    sample.endToEnd = Double(bench_nanoseconds() - begin) / 1e3 / Double(runs)
  case .graph(let make, let isWarm):
    let tasks = min(extent.tasks, benchmark.maximumTasks)
    let window = ringSize(tasks)
    let report = try runSession(benchmark, tasks: tasks) { graph in
      let submit = try make(graph)
      // Every process is there, and warm where asked: each slot, consumed
      // entry and byte of the heap has been used before.
      for _ in 0..<(isWarm ? 2 : 1) {
        try graph.scope { _ = try submit(isWarm ? window : 18) }
        try graph.wait()
      }
      try withHogs(benchmark.hogs) {
        try graph.scope {
          let begin = bench_nanoseconds()
          sample.tasks = try submit(tasks)
          let submitted = bench_nanoseconds()
          try graph.wait()
          let end = bench_nanoseconds()
          let count = Double(sample.tasks) * 1e3
          sample.submit = Double(submitted - begin) / count
          sample.endToEnd = Double(end - begin) / count
        }
      }
    }
    sample.waits = report.stalls.reduce(0) { $0 + UInt64($1.count) }
    guard report.kernels == report.tasks || (benchmark.hasNoKernels && report.kernels == 0)
    else { throw BenchError("\(report.tasks) tasks ran \(report.kernels) kernels") }
  }
  return sample
}

/// A power of two that holds all tasks of a run.
private func ringSize(_ tasks: Int) -> Int {
  var size = 64
  while size < tasks { size *= 2 }
  return size
}

/// One ring without back-pressure, that goes round while it is warmed up:
/// outputs are 64 bytes each, and a task has no more than 16 producers.
private func configuration(_ benchmark: Benchmark, tasks: Int) -> Configuration {
  let window = ringSize(tasks)
  var configuration = Configuration()
  configuration.clusters = benchmark.clusters
  configuration.rings = [
    Configuration.Ring(
      taskWindow: window, consumedWindow: 2 * window, heapBytes: 2 * window * 64,
      dependencyPool: 4 * window)
  ]
  configuration.arenaBytes = 64 << 20
  return configuration
}

private func runSession(
  _ benchmark: Benchmark, tasks: Int, _ program: (Graph) throws -> Void
) throws -> RunReport {
  try runOnce(configuration(benchmark, tasks: tasks), program)
}

/// A session of its own for one run.
func runOnce(_ configuration: Configuration, _ program: (Graph) throws -> Void) throws
  -> RunReport
{
  let session = try Session(configuration, images: ["BenchKernels"])
  defer { session.close() }
  return try session.run(program)
}

/// Runs a closure beside so many processes that spin.
private func withHogs(_ count: Int, _ body: () throws -> Void) throws {
  if count == 0 { return try body() }
  var pids = [pid_t](repeating: 0, count: count)
  let started = bench_hogs_start(Int32(count), &pids)
  defer { bench_hogs_stop(started, pids) }
  guard started == count else { throw BenchError("cannot start \(count) spinning processes") }
  sleepNanoseconds(20_000_000)
  try body()
}

/// The middle one; of an even number, the mean of the two in the middle.
func median(_ values: [Double]) -> Double {
  let sorted = values.sorted()
  let middle = sorted.count / 2
  if sorted.isEmpty { return .nan }
  return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}
