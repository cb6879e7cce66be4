internal import PTO2Protocol

/// What a piece of the critical path was spent on.
enum PathKind: Int, CaseIterable {
  /// A kernel ran.
  case kernel
  /// From the end of what a kernel waited for to its beginning: FIN seen, dispatch, ACK.
  case dispatch
  /// From the end of the kernel before it on its core, for which it waited, to its beginning.
  case core
  /// From its submission to its beginning: nothing else held it up.
  case start
  /// From the end of a kernel to the submission that its main slot was needed for.
  case ringFull
  /// Between two submissions: the program, or its wait for what the trace has no sizes of.
  case program
  /// After the last kernel.
  case end

  var name: String {
    switch self {
    case .kernel: "kernels"
    case .dispatch: "end of a producer to begin"
    case .core: "end of the kernel before on the core to begin"
    case .start: "submission to begin"
    case .ringFull: "waiting for a full task window"
    case .program: "between submissions: the program, or its wait for heap or pool"
    case .end: "after the last kernel"
    }
  }
}

struct PathPiece {
  var kind: PathKind
  /// Of a kernel.
  var kernel: UInt16 = 0
  var begin: UInt64
  var end: UInt64
}

/// What the time from the first submission to the last record was spent on, one thing after
/// another: from the last kernel back to whatever came last before each beginning. The pieces
/// tile that time.
struct CriticalPath {
  private let trace: Trace
  private let origin: UInt64
  /// Of each task the run that ended last; -1 for none.
  private var lastRun: [Int32]
  /// Of each task, when the ring's released watermark passed it, and by whose release.
  private var passed: [UInt64]
  private var passedBy: [Int32]
  private var ringFirst: [Int: Int] = [:]
  private(set) var pieces: [PathPiece] = []

  init(_ trace: Trace) {
    self.trace = trace
    origin = trace.span.lowerBound
    lastRun = Array(repeating: -1, count: trace.tasks.count)
    passed = Array(repeating: 0, count: trace.tasks.count)
    passedBy = Array(repeating: -1, count: trace.tasks.count)
    for (place, run) in trace.runs.enumerated() {
      let old = lastRun[Int(run.task)]
      if old < 0 || trace.runs[Int(old)].ended <= run.ended {
        lastRun[Int(run.task)] = Int32(place)
      }
    }
    var ring = -1
    var (latest, by): (UInt64, Int32) = (0, -1)
    for (place, task) in trace.tasks.enumerated() {
      if task.id.ring != ring {
        ring = task.id.ring
        ringFirst[ring] = place
        (latest, by) = (0, -1)
      }
      let released = task.released == 0 ? UInt64.max : task.released
      if released > latest { (latest, by) = (released, Int32(place)) }
      (passed[place], passedBy[place]) = (latest, by)
    }
    walk()
  }

  /// - Returns: the time at which the piece begins.
  private mutating func add(
    _ kind: PathKind, from begin: UInt64, to end: UInt64, kernel: UInt16 = 0
  ) -> UInt64 {
    let begin = max(origin, min(begin, end))
    if begin < end { pieces.append(PathPiece(kind: kind, kernel: kernel, begin: begin, end: end)) }
    return begin
  }

  private mutating func walk() {
    guard let last = trace.runs.indices.max(by: { trace.runs[$0].ended < trace.runs[$1].ended })
    else { return }
    var time = add(.end, from: trace.runs[last].ended, to: trace.span.upperBound)
    var run = last
    var left = 4 * (trace.runs.count + trace.tasks.count) + 4
    while time > origin, left > 0 {
      left -= 1
      let now = trace.runs[run]
      time = add(.kernel, from: now.begun, to: time, kernel: now.kernel)
      guard let next = before(run, &time) else { break }
      run = next
    }
    if time > origin { _ = add(.program, from: origin, to: time) }
    pieces.reverse()
  }

  /// The run that this one waited for; time goes back to its end.
  private mutating func before(_ place: Int, _ time: inout UInt64) -> Int? {
    let run = trace.runs[place]
    let task = trace.tasks[Int(run.task)]
    let previous = place > 0 && trace.runs[place - 1].core == run.core ? place - 1 : nil
    let onCore = previous.map { trace.runs[$0].ended } ?? 0
    let producer = producerRun(of: task)
    let produced = producer.map { trace.runs[$0].ended } ?? 0
    let latest = max(onCore, produced, task.submitted)
    guard latest > 0, latest <= time else { return nil }
    if let producer, latest == produced {
      time = add(.dispatch, from: latest, to: time)
      return producer
    }
    if let previous, latest == onCore {
      time = add(.core, from: latest, to: time)
      return previous
    }
    time = add(.start, from: task.submitted, to: time)
    return submitter(Int(run.task), &time)
  }

  /// The last run behind what made the task ready; through tasks without kernels.
  private func producerRun(of task: TraceTask) -> Int? {
    var cause = task.cause
    for _ in 0..<1000 where cause >= 0 {
      if lastRun[Int(cause)] >= 0 { return Int(lastRun[Int(cause)]) }
      cause = trace.tasks[Int(cause)].cause
    }
    return nil
  }

  /// From a submission back: the program, until one that waited for its ring.
  private mutating func submitter(_ place: Int, _ time: inout UInt64) -> Int? {
    let ring = trace.tasks[place].id.ring
    let first = ringFirst[ring] ?? 0
    let windows = trace.session.rings
    let window = ring < windows.count ? Int(clamping: windows[ring].taskWindow) : Int.max
    var place = place
    while place > first {
      let before = trace.tasks[place - 1].submitted
      if before == 0 || before > time { break }
      if place - first >= window, passed[place - window] > before, passed[place - window] <= time {
        let by = Int(passedBy[place - window])
        if by >= 0, lastRun[by] >= 0, trace.runs[Int(lastRun[by])].ended <= time {
          time = add(.ringFull, from: trace.runs[Int(lastRun[by])].ended, to: time)
          return Int(lastRun[by])
        }
      }
      time = add(.program, from: before, to: time)
      place -= 1
    }
    return nil
  }
}
