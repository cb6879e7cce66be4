internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2Segment

/// Puts the records of all writers together.
struct TraceJoin {
  private var trace = Trace()
  private let names: TraceNames
  private let firstPosition: UInt32
  /// Of each ring, by local id from `firstPosition` on.
  private var rings: [[TraceTask]]
  private var causes: [[UInt64]]
  private var dispatches: [[Dispatch]]
  private var coreEvents: [[TraceRecord]]
  private var edges: [(producer: TaskID, consumer: TaskID)] = []

  private struct Dispatch {
    var time: UInt64
    var task: TaskID
    var lane, subtask, block: UInt32
  }

  private static var noCause: UInt64 { .max }

  init(_ session: TraceSession, _ names: TraceNames, firstPosition: UInt32) {
    trace.session = session
    self.names = names
    self.firstPosition = firstPosition
    rings = session.rings.map { _ in [] }
    causes = rings.map { _ in [] }
    dispatches = (0..<session.coreCount).map { _ in [] }
    coreEvents = dispatches.map { _ in [] }
  }

  /// - Parameter spool: as the collector has written it.
  func trace(_ spool: UnsafeRawBufferPointer) -> Trace {
    var join = self
    var pieces: [[Range<Int>]] = Array(
      repeating: [], count: TraceReader.firstCore + trace.session.coreCount)
    let records = unsafe spool.bindMemory(to: TraceRecord.self)
    var place = 0
    while place < records.count {
      let header = unsafe SpoolHeader(records[place])
      let end = place + 1 + header.count
      pieces[header.source].append(place + 1..<end)
      place = end
    }
    for source in trace.session.sources {
      var cause = Self.noCause
      for piece in pieces[source.index] {
        for index in piece { unsafe join.add(records[index], from: source, &cause) }
      }
    }
    return join.finish()
  }

  // MARK: Records

  private mutating func add(
    _ record: TraceRecord, from source: TraceSource, _ cause: inout UInt64
  ) {
    trace.session.records += 1
    guard let event = record.event else { return damaged() }
    switch (event, source) {
    case (.submitted, .orchestrator):
      if set(\.submitted, record) { setScope(record) }
    case (.wired, .scheduler):
      set(\.wired, record)
      if record.detail == 1 { set(\.ready, record) }
      cause = Self.noCause
    case (.ready, .scheduler):
      if set(\.ready, record) { setCause(record.taskID, cause) }
    case (.completed, .scheduler):
      set(\.completed, record)
      if trace.session.schedulerThreads == 1 { set(\.released, record) }
      cause = record.taskID.rawValue
    case (.released, .scheduler):
      // Later than COMPLETED where a scheduler was started again in between.
      guard let place = place(record.taskID) else { return damaged() }
      rings[record.taskID.ring][place].released = record.value
    case (.consumed, .scheduler): set(\.consumed, record)
    case (.dispatched, .scheduler):
      guard record.core < dispatches.count, place(record.taskID) != nil else { return damaged() }
      set(\.dispatched, record)
      dispatches[record.core].append(
        Dispatch(
          time: record.value, task: record.taskID, lane: record.lane, subtask: record.subtask,
          block: record.block))
    case (.transferBegun, .scheduler):
      if set(\.dispatched, record), let place = place(record.taskID) {
        rings[record.taskID.ring][place].transfer = TraceTransfer(
          isSend: record.isSend, peer: UInt8(record.peer), sequence: record.sequence)
      }
    case (.edge, .scheduler): edges.append((TaskID(rawValue: record.value), record.taskID))
    case (.coreReady, .scheduler), (.coreLost, .scheduler):
      let kind: TraceInstant.Kind = event == .coreReady ? .workerReady : .workerDied
      trace.instants.append(TraceInstant(kind, at: record.value, core: record.core))
    case (.schedulerReady, .scheduler):
      trace.instants.append(TraceInstant(.schedulerReady, at: record.value))
    case (.begun, .core(let core)), (.ended, .core(let core)): coreEvents[core].append(record)
    default: damaged()
    }
  }

  private mutating func damaged() { trace.session.damaged += 1 }

  /// The place of a task in its ring; nil for one that there cannot be.
  private mutating func place(_ id: TaskID) -> Int? {
    guard id.ring < rings.count else { return nil }
    let place = Int(id.local &- firstPosition)
    // A submission that was dropped, and the tasks after it, leave gaps.
    guard place < rings[id.ring].count + 1 << 22 else { return nil }
    while rings[id.ring].count <= place {
      let local = firstPosition &+ UInt32(truncatingIfNeeded: rings[id.ring].count)
      rings[id.ring].append(TraceTask(TaskID(ring: id.ring, local: local)))
      causes[id.ring].append(Self.noCause)
    }
    return place
  }

  /// The first time counts: a scheduler that is started again wires some tasks once more.
  @discardableResult
  private mutating func set(_ time: WritableKeyPath<TraceTask, UInt64>, _ record: TraceRecord)
    -> Bool
  {
    guard let place = place(record.taskID) else {
      damaged()
      return false
    }
    guard rings[record.taskID.ring][place][keyPath: time] == 0 else { return false }
    rings[record.taskID.ring][place][keyPath: time] = record.value
    return true
  }

  private mutating func setScope(_ record: TraceRecord) {
    let scope = ScopePlace(rawValue: UInt16(truncatingIfNeeded: record.detail)).name
    guard scope > 0, scope <= names.places.count, let place = place(record.taskID) else { return }
    rings[record.taskID.ring][place].scope = names.places[scope - 1].scope
    rings[record.taskID.ring][place].name = names.places[scope - 1].name
  }

  private mutating func setCause(_ id: TaskID, _ cause: UInt64) {
    if let place = place(id), cause != id.rawValue { causes[id.ring][place] = cause }
  }

  // MARK: All of them

  private consuming func finish() -> Trace {
    var bases: [Int] = []
    for ring in rings {
      bases.append(trace.tasks.count)
      trace.tasks += ring
    }
    let index = TaskIndex(
      bases: bases, counts: rings.map(\.count), firstPosition: firstPosition)
    for ring in rings.indices {
      for (place, cause) in causes[ring].enumerated() where cause != Self.noCause {
        trace.tasks[bases[ring] + place].cause = index[TaskID(rawValue: cause)] ?? -1
      }
    }
    for (producer, consumer) in edges {
      if let producer = index[producer], let consumer = index[consumer] {
        trace.edges.append(TraceEdge(producer: producer, consumer: consumer))
      }
    }
    trace.instants.sort { $0.time < $1.time }
    let end = trace.span.upperBound
    for core in coreEvents.indices { addRuns(of: core, end: end, index) }
    numberAttempts()
    return trace
  }

  /// A lane has one dispatch at a time: a run is of the last one before it began.
  private mutating func addRuns(of core: Int, end: UInt64, _ index: TaskIndex) {
    var lanes = [[Dispatch]](repeating: [], count: Int(PTO2_MAX_LANES))
    var next = [Int](repeating: 0, count: Int(PTO2_MAX_LANES))
    for dispatch in dispatches[core].sorted(by: { $0.time < $1.time }) {
      lanes[Int(dispatch.lane)].append(dispatch)
    }
    let deaths = trace.instants.filter { $0.core == core && $0.kind == .workerDied }.map(\.time)
    var open: TraceRun?
    func lost(_ run: TraceRun) -> TraceRun {
      var run = run
      run.ended = max(run.begun, deaths.first { $0 >= run.begun } ?? end)
      run.isLost = true
      return run
    }
    for record in coreEvents[core] {
      let lane = Int(record.runLane)
      guard let task = index[record.taskID] else {
        damaged()
        continue
      }
      if record.event == .begun {
        if let open { trace.runs.append(lost(open)) }
        while next[lane] < lanes[lane].count, lanes[lane][next[lane]].time <= record.value {
          next[lane] += 1
        }
        let dispatch = next[lane] > 0 ? lanes[lane][next[lane] - 1] : nil
        let isOf = dispatch?.task == record.taskID && dispatch?.subtask == record.runSubtask
        open = TraceRun(
          task: task, kernel: UInt16(truncatingIfNeeded: record.runKernel), core: UInt8(core),
          lane: UInt8(lane), subtask: UInt8(record.runSubtask),
          block: isOf ? UInt16(dispatch!.block) : 0, dispatched: isOf ? dispatch!.time : 0,
          begun: record.value, ended: 0)
      } else if var run = open, run.task == task, run.lane == UInt8(lane) {
        run.ended = max(run.begun, record.value)
        trace.runs.append(run)
        open = nil
      }
    }
    if let open { trace.runs.append(lost(open)) }
  }

  /// Places among all tasks.
  private struct TaskIndex {
    let bases, counts: [Int]
    let firstPosition: UInt32

    subscript(id: TaskID) -> Int32? {
      guard id.ring < bases.count else { return nil }
      let place = Int(id.local &- firstPosition)
      return place < counts[id.ring] ? Int32(clamping: bases[id.ring] + place) : nil
    }
  }

  private mutating func numberAttempts() {
    let again = Set(trace.runs.lazy.filter(\.isLost).map(\.task))
    if again.isEmpty { return }
    var count: [Attempt: UInt8] = [:]
    let places = trace.runs.indices.filter { again.contains(trace.runs[$0].task) }
      .sorted { trace.runs[$0].begun < trace.runs[$1].begun }
    for place in places {
      let run = trace.runs[place]
      let key = Attempt(task: run.task, subtask: run.subtask, block: run.block)
      let number = min(count[key, default: 0], 254) + 1
      count[key] = number
      trace.runs[place].attempt = number
    }
  }

  private struct Attempt: Hashable {
    var task: Int32
    var subtask: UInt8
    var block: UInt16
  }
}

extension TraceSession {
  var sources: [TraceSource] {
    [.orchestrator] + (0..<schedulerThreads).map { .scheduler(thread: $0) }
      + (0..<coreCount).map { .core($0) }
  }
}
