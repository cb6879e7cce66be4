internal import PTO2Protocol
internal import PTO2System

/// Why a file is no trace that can be read.
package struct TraceFileError: Error, CustomStringConvertible {
  package var description: String
}

extension Trace {
  /// Reads a trace that `writePerfetto` has written.
  package static func read(_ path: String) throws(TraceFileError) -> Trace {
    let result: Result<Trace, TraceFileError>
    do {
      result = unsafe try withFile(path) { bytes in
        var decoder = PerfettoDecoder()
        return unsafe decoder.decode(bytes)
      }
    } catch { throw TraceFileError(description: "\(error)") }
    do { return try result.get() } catch {
      throw TraceFileError(description: "\(path): \(error)")
    }
  }
}

/// Only what `PerfettoEncoder` writes; anything else in a trace is left out.
struct PerfettoDecoder {
  private var trace = Trace()
  private var names: [UInt64: String] = [:]
  private var facts: [UInt64: Fact] = [:]
  private var places: [UInt64: Int32] = [:]
  private var causes: [(task: Int32, cause: UInt64)] = []
  private var open: [UInt64: Int] = [:]
  private var hasSession = false
  private var hasSeveral = false
  private var windows: [UInt64] = []
  private var flows: [UInt64: TraceEdge] = [:]
  private var scopes: [String: UInt16] = [:]
  private var taskNames: [String: UInt16] = [:]

  private struct Event {
    var type: UInt64 = 0
    var track: UInt64 = 0
    var nameID: UInt64 = 0
    var name = ""
    var numbers: [(Fact, Int64)] = []
    var texts: [(Fact, String)] = []
    var flows: [(UInt64, ends: Bool)] = []

    subscript(fact: Fact) -> Int64? { numbers.first { $0.0 == fact }?.1 }
  }

  mutating func decode(_ bytes: UnsafeRawBufferPointer) -> Result<Trace, TraceFileError> {
    func refuse(_ why: String) -> Result<Trace, TraceFileError> {
      .failure(TraceFileError(description: why))
    }
    if unsafe bytes.first == UInt8(ascii: "[") || bytes.first == UInt8(ascii: "{") {
      return refuse("JSON is for browsers; give a trace that was written as .pftrace")
    }
    var reader = unsafe ProtoReader(bytes)
    while let (field, value) = reader.next() {
      if field == Perfetto.packet { decodePacket(value) }
    }
    if reader.isBroken { return refuse("it is cut off, or no trace") }
    guard hasSession else { return refuse("no trace of pto2") }
    if hasSeveral { return refuse("it has several ranks: give the file of one") }
    for (task, cause) in causes {
      trace.tasks[Int(task)].cause = places[cause] ?? -1
    }
    for (_, edge) in flows.sorted(by: { $0.key < $1.key })
    where edge.producer >= 0 && edge.consumer >= 0 {
      trace.edges.append(edge)
    }
    trace.sortTasks()
    return .success(trace)
  }

  private mutating func decodePacket(_ packet: ProtoValue) {
    var time: UInt64 = 0
    var event: ProtoValue?
    var reader = unsafe ProtoReader(packet.message)
    while let (field, value) = reader.next() {
      switch field {
      case Perfetto.Packet.timestamp: time = value.number
      case Perfetto.Packet.event: event = value
      case Perfetto.Packet.interned: decodeNames(value)
      default: break
      }
    }
    if let event { handle(decodeEvent(event), time) }
  }

  private mutating func decodeNames(_ interned: ProtoValue) {
    var reader = unsafe ProtoReader(interned.message)
    while let (field, value) = reader.next() {
      var entry = unsafe ProtoReader(value.message)
      var id: UInt64 = 0
      var name = ""
      while let (field, value) = entry.next() {
        if field == Perfetto.Interned.id { id = value.number }
        if field == Perfetto.Interned.name { name = value.text }
      }
      if field == Perfetto.Interned.eventNames {
        names[id] = name
        if (1...4096).contains(id) {
          while trace.session.kernels.count < Int(id) { trace.session.kernels.append("") }
          trace.session.kernels[Int(id) - 1] = name
        }
      } else if field == Perfetto.Interned.annotationNames {
        facts[id] = Fact.allCases.first { $0.text == name }
      }
    }
  }

  private func decodeEvent(_ content: ProtoValue) -> Event {
    var event = Event()
    var reader = unsafe ProtoReader(content.message)
    while let (field, value) = reader.next() {
      switch field {
      case Perfetto.Event.type: event.type = value.number
      case Perfetto.Event.track: event.track = value.number
      case Perfetto.Event.nameID: event.nameID = value.number
      case Perfetto.Event.name: event.name = value.text
      case Perfetto.Event.flow: event.flows.append((value.number, false))
      case Perfetto.Event.endsFlow: event.flows.append((value.number, true))
      case Perfetto.Event.annotation: decodeAnnotation(value, &event)
      default: break
      }
    }
    return event
  }

  private func decodeAnnotation(_ content: ProtoValue, _ event: inout Event) {
    var fact: Fact?
    var reader = unsafe ProtoReader(content.message)
    while let (field, value) = reader.next() {
      switch field {
      case Perfetto.Annotation.nameID: fact = facts[value.number]
      case Perfetto.Annotation.text: if let fact { event.texts.append((fact, value.text)) }
      default: if let fact { event.numbers.append((fact, value.signed)) }
      }
    }
  }

  // MARK: Events

  private mutating func handle(_ event: Event, _ time: UInt64) {
    switch event.type {
    case Perfetto.Event.begin where event[.peer] != nil: readTransfer(event, time)
    case Perfetto.Event.begin: begin(event, time)
    case Perfetto.Event.end:
      if let run = open.removeValue(forKey: event.track) { trace.runs[run].ended = time }
    case Perfetto.Event.instant:
      if event.name == "session" {
        readSession(event)
      } else if event.name == "task not run" {
        if let place = place(event) { readTask(event, place, time) }
      } else if let kind = TraceInstant.Kind(rawValue: event.name) {
        let core = event.track >= 100 && event.track < 1000 ? Int(event.track) - 100 : -1
        let text = event.texts.first { $0.0 == .text }?.1 ?? ""
        trace.instants.append(TraceInstant(kind, at: time, core: core, text: text))
      }
    default: break
    }
  }

  private mutating func begin(_ event: Event, _ time: UInt64) {
    guard event.track >= 100, event.track < 356, let task = place(event) else { return }
    let known = event[.sinceSubmitted] ?? event[.sinceWired] ?? event[.untilCompleted]
    if known != nil { readTask(event, task, time) }
    var run = TraceRun(
      task: task, kernel: UInt16(clamping: Int64(event.nameID) - 1), core: UInt8(event.track - 100),
      lane: UInt8(clamping: event[.lane] ?? 0), subtask: UInt8(clamping: event[.slot] ?? 0),
      attempt: UInt8(clamping: event[.attempt] ?? 1), block: UInt16(clamping: event[.block] ?? 0),
      dispatched: 0, begun: time, ended: time)
    run.isLost = event[.lost] != nil
    if let since = event[.sinceOwnDispatch] ?? event[.sinceDispatched] {
      run.dispatched = time &- UInt64(bitPattern: since)
    }
    open[event.track] = trace.runs.count
    trace.runs.append(run)
  }

  private mutating func readTransfer(_ event: Event, _ time: UInt64) {
    guard let place = place(event) else { return }
    readTask(event, place, time)
    trace.tasks[Int(place)].transfer = TraceTransfer(
      isSend: event.name.hasPrefix("send"), peer: UInt8(clamping: event[.peer] ?? 0),
      sequence: UInt32(clamping: event[.transfer] ?? 0))
  }

  /// Its place among the tasks, the next one if it is new.
  private mutating func place(_ event: Event) -> Int32? {
    guard let ring = event[.ring], (0...7).contains(ring), let local = event[.task],
      let local = UInt32(exactly: local)
    else { return nil }
    let id = TaskID(ring: Int(ring), local: local)
    if let place = places[id.rawValue] { return place }
    let place = Int32(trace.tasks.count)
    trace.tasks.append(TraceTask(id))
    places[id.rawValue] = place
    return place
  }

  private mutating func readTask(_ event: Event, _ place: Int32, _ time: UInt64) {
    func since(_ fact: Fact) -> UInt64 {
      event[fact].map { time &- UInt64(bitPattern: $0) } ?? 0
    }
    func until(_ fact: Fact) -> UInt64 {
      event[fact].map { time &+ UInt64(bitPattern: $0) } ?? 0
    }
    var task = trace.tasks[Int(place)]
    task.submitted = since(.sinceSubmitted)
    task.wired = since(.sinceWired)
    task.ready = since(.sinceReady)
    task.dispatched = since(.sinceDispatched)
    task.completed = until(.untilCompleted)
    task.released = until(.untilReleased)
    task.consumed = until(.untilConsumed)
    if let name = event.texts.first(where: { $0.0 == .scope })?.1 {
      task.scope = Self.number(of: name, in: &trace.session.scopes, &scopes)
    }
    if let name = event.texts.first(where: { $0.0 == .name })?.1 {
      task.name = Self.number(of: name, in: &trace.session.names, &taskNames)
    }
    trace.tasks[Int(place)] = task
    if let cause = event[.readyBy] { causes.append((place, UInt64(bitPattern: cause))) }
    for (id, ends) in event.flows {
      var edge = flows[id] ?? TraceEdge(producer: -1, consumer: -1)
      if ends { edge.consumer = place } else { edge.producer = place }
      flows[id] = edge
    }
  }

  private static func number(
    of name: String, in names: inout [String], _ known: inout [String: UInt16]
  ) -> UInt16 {
    if let number = known[name] { return number }
    guard names.count < 1 << 15 else { return 0 }
    names.append(name)
    known[name] = UInt16(names.count)
    return UInt16(names.count)
  }

  private mutating func readSession(_ event: Event) {
    hasSeveral = hasSession
    hasSession = true
    func number(_ fact: Fact) -> UInt64 { UInt64(clamping: event[fact] ?? 0) }
    trace.session.name = event.texts.first { $0.0 == .name }?.1 ?? ""
    trace.session.pid = number(.pid)
    trace.session.clusters = min(40, max(1, Int(clamping: number(.clusters))))
    trace.session.schedulerThreads = min(8, max(1, Int(clamping: number(.schedulerThreads))))
    trace.session.ranks = min(256, max(1, Int(clamping: number(.ranks))))
    trace.session.rank = min(trace.session.ranks - 1, Int(clamping: number(.rank)))
    trace.session.boot = event.texts.first { $0.0 == .boot }?.1 ?? ""
    trace.session.records = number(.records)
    trace.session.dropped = number(.dropped)
    trace.session.damaged = number(.damaged)
    let windows = event.numbers.filter { $0.0 == .taskWindow }.map { UInt64(clamping: $0.1) }
    let consumed = event.numbers.filter { $0.0 == .consumedWindow }.map { UInt64(clamping: $0.1) }
    trace.session.rings = zip(windows, consumed).map {
      TraceSession.Ring(taskWindow: $0, consumedWindow: $1)
    }
    trace.tasks.reserveCapacity(Int(clamping: min(number(.tasks), 1 << 24)))
    trace.runs.reserveCapacity(Int(clamping: min(number(.runs), 1 << 24)))
  }
}

extension Trace {
  /// A file has the tasks in the order of the runs, core by core.
  fileprivate mutating func sortTasks() {
    // Local ids wrap: they count from the first submission of the ring.
    var first = [TraceTask?](repeating: nil, count: 8)
    for task in tasks {
      let old = first[task.id.ring]
      if task.submitted != 0 && (old == nil || task.submitted < old!.submitted) {
        first[task.id.ring] = task
      }
    }
    let keys = tasks.map { task in
      let since = Int32(bitPattern: task.id.local &- (first[task.id.ring]?.id.local ?? 0))
      return Int64(task.id.ring) << 32 + Int64(since)
    }
    let order = tasks.indices.sorted { keys[$0] < keys[$1] }
    var places = [Int32](repeating: -1, count: tasks.count)
    for (place, old) in order.enumerated() { places[old] = Int32(place) }
    tasks = order.map { tasks[$0] }
    for index in tasks.indices where tasks[index].cause >= 0 {
      tasks[index].cause = places[Int(tasks[index].cause)]
    }
    for index in runs.indices { runs[index].task = places[Int(runs[index].task)] }
    for index in edges.indices {
      edges[index].producer = places[Int(edges[index].producer)]
      edges[index].consumer = places[Int(edges[index].consumer)]
    }
  }
}
