internal import PTO2Protocol
package import PTO2System

extension Trace {
  /// As TrackEvent packets of Perfetto's trace format.
  package func writePerfetto(to file: OutputFile) {
    var encoder = PerfettoEncoder(self, file)
    encoder.writeAll()
  }

  /// The traces of several ranks as one: each has tracks of its own, and an arrow leads from each
  /// transfer's sending to its receiving.
  package static func writePerfetto(ranks: [Trace], to file: OutputFile) {
    for trace in ranks {
      var encoder = PerfettoEncoder(trace, file, isOneOfSeveral: true)
      encoder.writeAll()
    }
  }
}

struct PerfettoEncoder {
  private let trace: Trace
  private let file: OutputFile
  /// In a file of several ranks: sequences of packets, tracks and processes are its own.
  private let isOneOfSeveral: Bool
  private let sequence: UInt64
  private let base: UInt64
  private var out = ProtoWriter()
  private var packet = ProtoWriter()
  private var event = ProtoWriter()

  private enum Flags {
    static let cleared: UInt64 = 1
    static let needed: UInt64 = 2
  }

  init(_ trace: Trace, _ file: OutputFile, isOneOfSeveral: Bool = false) {
    self.trace = trace
    self.file = file
    self.isOneOfSeveral = isOneOfSeveral
    let rank = isOneOfSeveral ? UInt64(trace.session.rank) : 0
    sequence = rank + 1
    base = rank * Perfetto.Tracks.ofARank
  }

  mutating func writeAll() {
    writeNames()
    writeTracks()
    writeSession()
    let first = trace.firstRuns()
    let flows = Flows(trace)
    for (place, run) in trace.runs.enumerated() {
      write(run, isFirst: first[Int(run.task)] == Int32(place), flows)
    }
    for (place, task) in trace.tasks.enumerated() where first[place] == nil {
      if !task.isWholeTransfer { write(task) }
    }
    writeTransfers(flows)
    for instant in trace.instants { write(instant) }
    trace.eachCounter { counter, time, value in write(counter, time, value) }
    flush()
  }

  private mutating func flush() {
    file.write(out.bytes)
    out.removeAll()
  }

  private mutating func send() {
    out.message(Perfetto.packet, packet)
    packet.removeAll()
    if out.bytes.count >= 1 << 20 { flush() }
  }

  // MARK: What comes first

  private mutating func writeNames() {
    packet.uint(Perfetto.Packet.sequence, sequence)
    packet.uint(Perfetto.Packet.flags, Flags.cleared | Flags.needed)
    let session = trace.session
    packet.message(Perfetto.Packet.interned) { interned in
      for id in session.kernels.indices {
        interned.message(Perfetto.Interned.eventNames) {
          $0.uint(Perfetto.Interned.id, UInt64(id) + 1)
          $0.text(Perfetto.Interned.name, session.kernelName(id))
        }
      }
      for fact in Fact.allCases {
        interned.message(Perfetto.Interned.annotationNames) {
          $0.uint(Perfetto.Interned.id, fact.rawValue)
          $0.text(Perfetto.Interned.name, fact.text)
        }
      }
    }
    send()
  }

  private mutating func writeTracks() {
    process(Perfetto.Tracks.orchestrator, pid: 1, "orchestrator \(trace.session.pid)")
    process(Perfetto.Tracks.scheduler, pid: 2, "scheduler")
    process(Perfetto.Tracks.workers, pid: 3, "workers")
    for index in 0..<trace.session.schedulerThreads {
      thread(Perfetto.Tracks.thread(index), pid: 2, tid: 10 + index, "scheduler thread \(index)")
    }
    for core in 0..<trace.session.coreCount {
      thread(Perfetto.Tracks.core(core), pid: 3, tid: 100 + core, CoreID(core).description)
    }
    counter(Perfetto.Tracks.ready, "ready tasks")
    for ring in trace.usedRings {
      counter(Perfetto.Tracks.window(ring), "ring \(ring) tasks to RELEASED")
      counter(Perfetto.Tracks.consumedWindow(ring), "ring \(ring) tasks to CONSUMED")
    }
  }

  private mutating func track(_ fill: (inout ProtoWriter) -> Void) {
    packet.uint(Perfetto.Packet.sequence, sequence)
    packet.message(Perfetto.Packet.track, fill)
    send()
  }

  private mutating func process(_ uuid: UInt64, pid: UInt64, _ name: String) {
    let name = isOneOfSeveral ? "rank \(trace.session.rank) \(name)" : name
    let (uuid, pid) = (base + uuid, pid + (sequence - 1) * 10)
    track {
      $0.uint(Perfetto.Track.uuid, uuid)
      $0.message(Perfetto.Track.process) {
        $0.uint(1, pid)
        $0.text(6, name)
      }
    }
  }

  private mutating func thread(_ uuid: UInt64, pid: UInt64, tid: Int, _ name: String) {
    let (uuid, pid) = (base + uuid, pid + (sequence - 1) * 10)
    let tid = UInt64(tid) + (sequence - 1) * 1_000_000
    track {
      $0.uint(Perfetto.Track.uuid, uuid)
      $0.message(Perfetto.Track.thread) {
        $0.uint(1, pid)
        $0.uint(2, tid)
        $0.text(5, name)
      }
    }
  }

  private mutating func counter(_ uuid: UInt64, _ name: String) {
    let base = self.base
    track {
      $0.uint(Perfetto.Track.uuid, base + uuid)
      $0.text(Perfetto.Track.name, name)
      $0.uint(Perfetto.Track.parent, base + Perfetto.Tracks.scheduler)
      $0.message(Perfetto.Track.counter) { _ in }
    }
  }

  // MARK: Events

  private mutating func send(at time: UInt64) {
    packet.uint(Perfetto.Packet.timestamp, time)
    packet.uint(Perfetto.Packet.sequence, sequence)
    packet.uint(Perfetto.Packet.flags, Flags.needed)
    packet.message(Perfetto.Packet.event, event)
    event.removeAll()
    send()
  }

  private mutating func begin(_ type: UInt64, on track: UInt64) {
    event.uint(Perfetto.Event.type, type)
    event.uint(Perfetto.Event.track, base + track)
  }

  /// Its length is one byte, but for a text.
  private static func add(_ fact: Fact, _ value: FactValue, to event: inout ProtoWriter) {
    event.message(Perfetto.Event.annotation) {
      $0.uint(Perfetto.Annotation.nameID, fact.rawValue)
      switch value {
      case .number(let number) where number >= 0:
        $0.uint(Perfetto.Annotation.uint, UInt64(number))
      case .number(let number): $0.int(Perfetto.Annotation.int, number)
      case .flag: $0.uint(Perfetto.Annotation.bool, 1)
      case .text(let text): $0.text(Perfetto.Annotation.text, text)
      }
    }
  }

  private mutating func writeSession() {
    begin(Perfetto.Event.instant, on: Perfetto.Tracks.orchestrator)
    event.text(Perfetto.Event.name, "session")
    trace.sessionFacts { Self.add($0, $1, to: &event) }
    send(at: trace.span.lowerBound)
  }

  private mutating func write(_ run: TraceRun, isFirst: Bool, _ flows: Flows) {
    let task = trace.tasks[Int(run.task)]
    let track = Perfetto.Tracks.core(Int(run.core))
    begin(Perfetto.Event.begin, on: track)
    if Int(run.kernel) < trace.session.kernels.count {
      event.uint(Perfetto.Event.nameID, UInt64(run.kernel) + 1)
    } else {
      event.text(Perfetto.Event.name, trace.session.kernelName(Int(run.kernel)))
    }
    trace.facts(of: task.id) { Self.add($0, $1, to: &event) }
    trace.facts(of: run) { Self.add($0, $1, to: &event) }
    if isFirst {
      trace.facts(of: task, at: run.begun) { Self.add($0, $1, to: &event) }
      flows.each(of: run.task) { id, ends in
        event.fixed64(
          ends ? Perfetto.Event.endsFlow : Perfetto.Event.flow, base + UInt64(id) + 1)
      }
    }
    if run.dispatched != 0, !isFirst || run.dispatched != task.dispatched {
      let since = FactValue.number(Int64(bitPattern: run.begun &- run.dispatched))
      Self.add(.sinceOwnDispatch, since, to: &event)
    }
    send(at: run.begun)
    begin(Perfetto.Event.end, on: track)
    send(at: run.ended)
  }

  /// A task that no core has run: without a kernel, its predicate false, or CANCELLED.
  private mutating func write(_ task: TraceTask) {
    guard
      let time = [task.completed, task.ready, task.wired, task.submitted].first(where: { $0 != 0 })
    else { return }
    begin(Perfetto.Event.instant, on: Perfetto.Tracks.thread(0))
    event.text(Perfetto.Event.name, "task not run")
    trace.facts(of: task.id) { Self.add($0, $1, to: &event) }
    trace.facts(of: task, at: time) { Self.add($0, $1, to: &event) }
    send(at: time)
  }

  private mutating func writeTransfers(_ flows: Flows) {
    let transfers = TransferTracks(trace)
    if transfers.tracks.isEmpty { return }
    process(Perfetto.Tracks.link, pid: 4, "link")
    for (index, track) in transfers.tracks.enumerated() {
      thread(Perfetto.Tracks.transfer(index), pid: 4, tid: 1000 + index, track.name)
      for place in track.tasks {
        write(
          trace.tasks[place], place, number: transfers.sequences[place] ?? 0,
          on: Perfetto.Tracks.transfer(index), flows)
      }
    }
  }

  /// A transfer, from when the link was given it.
  private mutating func write(
    _ task: TraceTask, _ place: Int, number: Int, on track: UInt64, _ flows: Flows
  ) {
    guard let transfer = task.transfer else { return }
    begin(Perfetto.Event.begin, on: track)
    event.text(Perfetto.Event.name, transfer.name)
    trace.facts(of: task.id) { Self.add($0, $1, to: &event) }
    trace.facts(of: transfer) { Self.add($0, $1, to: &event) }
    trace.facts(of: task, at: task.dispatched) { Self.add($0, $1, to: &event) }
    if isOneOfSeveral {
      let (own, other) = (UInt64(trace.session.rank), UInt64(transfer.peer))
      let (from, to) = transfer.isSend ? (own, other) : (other, own)
      let id = UInt64(1) << 63 | from << 48 | to << 40 | UInt64(number) & (1 << 40 - 1)
      event.fixed64(transfer.isSend ? Perfetto.Event.flow : Perfetto.Event.endsFlow, id)
    }
    flows.each(of: Int32(place)) { id, ends in
      event.fixed64(ends ? Perfetto.Event.endsFlow : Perfetto.Event.flow, base + UInt64(id) + 1)
    }
    send(at: task.dispatched)
    begin(Perfetto.Event.end, on: track)
    send(at: task.completed)
  }

  private mutating func write(_ instant: TraceInstant) {
    let track =
      instant.core >= 0
      ? Perfetto.Tracks.core(instant.core)
      : instant.kind == .fault ? Perfetto.Tracks.orchestrator : Perfetto.Tracks.thread(0)
    begin(Perfetto.Event.instant, on: track)
    event.text(Perfetto.Event.name, instant.kind.rawValue)
    if instant.core >= 0 { Self.add(.core, .text(CoreID(instant.core).description), to: &event) }
    if !instant.text.isEmpty { Self.add(.text, .text(instant.text), to: &event) }
    send(at: instant.time)
  }

  private mutating func write(_ counter: TraceCounter, _ time: UInt64, _ value: Int) {
    let track: UInt64 =
      switch counter {
      case .ready: Perfetto.Tracks.ready
      case .window(let ring): Perfetto.Tracks.window(ring)
      case .consumedWindow(let ring): Perfetto.Tracks.consumedWindow(ring)
      }
    begin(Perfetto.Event.count, on: track)
    event.int(Perfetto.Event.counter, Int64(value))
    send(at: time)
  }
}

/// The dependencies of each task, in both directions.
struct Flows {
  private var first: [Int32]
  private var ids: [(id: Int32, ends: Bool)]

  init(_ trace: Trace) {
    first = []
    ids = []
    if trace.edges.isEmpty { return }
    first = [Int32](repeating: 0, count: trace.tasks.count + 1)
    for edge in trace.edges {
      first[Int(edge.producer) + 1] += 1
      first[Int(edge.consumer) + 1] += 1
    }
    for index in first.indices.dropFirst() { first[index] += first[index - 1] }
    var next = first
    ids = Array(repeating: (0, false), count: Int(first.last!))
    for (id, edge) in trace.edges.enumerated() {
      for (task, ends) in [(edge.producer, false), (edge.consumer, true)] {
        ids[Int(next[Int(task)])] = (Int32(id), ends)
        next[Int(task)] += 1
      }
    }
  }

  func each(of task: Int32, _ body: (Int32, Bool) -> Void) {
    if first.isEmpty { return }
    for place in first[Int(task)]..<first[Int(task) + 1] {
      body(ids[Int(place)].id, ids[Int(place)].ends)
    }
  }
}
