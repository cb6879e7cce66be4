package import PTO2Protocol
package import PTO2Segment
package import PTO2System
internal import Synchronization

/// Reads the trace buffers of a session while it lasts, into a file without a name; puts it all
/// together and writes the trace when the session is over.
@safe package final class TraceCollector: @unchecked Sendable {
  // Sendable: `readers` and `spool` belong to the thread until `finish` has joined it.
  private var readers: [Buffer]
  private let spool: OutputFile
  private let output: OutputFile
  private let firstPosition: UInt32
  private var session: TraceSession
  private let isStopping = Atomic<Bool>(false)
  private var thread: SpawnedThread?
  private var faults: [TraceInstant] = []

  private struct Buffer {
    var source: TraceSource
    var reader: TraceReader
    /// Its fill at the last look.
    var seen: UInt64 = 0
  }

  /// How long it sleeps between two looks at what a buffer has: the default ones take 262,000
  /// records, and nobody writes more than 10,000 in a millisecond.
  private static let pauses: ClosedRange<UInt64> = 4_000_000...16_000_000

  /// - Parameter path: of the trace, which is made or emptied at once.
  package init(_ segment: borrowing Segment, path: String) throws(SystemError) {
    output = try OutputFile(creating: path)
    spool = try OutputFile(besides: path)
    let configuration = segment.configuration
    firstPosition = configuration.firstPosition
    readers = []
    for source in configuration.traceSources {
      readers.append(Buffer(source: source, reader: segment.traceReader(source)))
    }
    session = TraceSession()
    session.name = segment.name
    session.pid = UInt64(clamping: segment.creator().pid)
    session.rank = Int(configuration.rank)
    session.ranks = Int(configuration.ranks)
    session.boot = readBootID().map { String($0, radix: 16) }.joined(separator: "-")
    session.clusters = Int(configuration.clusters)
    session.schedulerThreads = Int(configuration.schedulerThreads)
    session.kernels = (0..<Int(configuration.kernelCount)).map { segment.kernelRecords[$0].name }
    session.rings = configuration.rings.map {
      TraceSession.Ring(
        taskWindow: UInt64($0.taskWindow), consumedWindow: UInt64($0.consumedWindow))
    }
  }

  package func start() throws(SystemError) {
    thread = try spawnThread("trace") { self.run() }
  }

  /// Each look costs others a switch of processes, and each piece a call: so both are few. It
  /// never takes the CPU from a process that runs.
  private func run() {
    letOthersGoFirst()
    var pause = Self.pauses.lowerBound
    while !isStopping.load(ordering: .acquiring) {
      let fill = takeFull()
      pause = fill > 8 ? pause / 2 : fill < 3 ? pause * 2 : pause
      pause = min(max(pause, Self.pauses.lowerBound), Self.pauses.upperBound)
      sleepNanoseconds(pause)
    }
  }

  /// What is in buffers that are an eighth full.
  /// - Returns: how full the fullest has become since the look before, at most, in 64ths.
  private func takeFull() -> UInt64 {
    var most: UInt64 = 0
    for place in readers.indices {
      let fill = readers[place].reader.fill
      most = max(most, fill > readers[place].seen ? fill - readers[place].seen : 0)
      if fill >= 8 { take(place) }
      readers[place].seen = fill >= 8 ? 0 : fill
    }
    return most
  }

  private func take(_ place: Int) {
    let source = readers[place].source.index
    unsafe readers[place].reader.take { records in
      SpoolHeader(source: source, count: records.count / MemoryLayout<TraceRecord>.stride)
        .write(to: spool)
      unsafe spool.write(records)
    }
  }

  /// A fault script's fault, which counts once the session is over.
  package func note(_ instants: [TraceInstant]) { faults += instants }

  /// The last records, then the trace: once, when nobody records any more.
  package func finish(names: TraceNames) -> TraceOutcome {
    isStopping.store(true, ordering: .releasing)
    thread?.join()
    thread = nil
    for place in readers.indices { take(place) }
    session.dropped = readers.reduce(0) { $0 &+ min($1.reader.dropped, 1 << 40) }
    session.damaged = readers.reduce(0) { $0 &+ $1.reader.damaged }
    readers = []
    session.scopes = names.scopes
    session.names = names.tasks
    var outcome = TraceOutcome(path: output.path)
    do throws(SystemError) {
      if let error = spool.error { throw error }
      let session = session
      let joined = unsafe try spool.withContents { bytes in
        unsafe TraceJoin(session, names, firstPosition: firstPosition).trace(bytes)
      }
      var trace = joined
      trace.instants = (trace.instants + faults).sorted { $0.time < $1.time }
      output.path.hasSuffix(".json")
        ? trace.writeChrome(to: output) : trace.writePerfetto(to: output)
      if let error = output.error { throw error }
      outcome.records = trace.session.records
      outcome.dropped = trace.session.dropped &+ trace.session.damaged
    } catch { outcome.error = error }
    outcome.bytes = output.bytes
    return outcome
  }
}

/// The names that a segment has, scopes' and tasks' apart: each once.
package struct TraceNames: Sendable {
  package private(set) var scopes: [String] = []
  package private(set) var tasks: [String] = []
  /// What a number in the segment means: places of the two, from 1 on.
  private(set) var places: [(scope: UInt16, name: UInt16)] = []

  package init() {}

  package init(_ names: RecordList<ScopeName>, count: Int) {
    func number(_ text: String, in list: inout [String], _ known: inout [String: UInt16])
      -> UInt16
    {
      if let number = known[text] { return number }
      list.append(text)
      known[text] = UInt16(list.count)
      return UInt16(list.count)
    }
    var (knownScopes, knownTasks) = ([String: UInt16](), [String: UInt16]())
    for index in 1...max(1, count) where index <= count {
      let found = TaskNames(of: index, in: names, count: count)
      var place: (scope: UInt16, name: UInt16) = (0, 0)
      if found.scope != 0 {
        place.scope = number(names[found.scope - 1].text, in: &scopes, &knownScopes)
      }
      if found.task != 0 {
        place.name = number(names[found.task - 1].text, in: &tasks, &knownTasks)
      }
      places.append(place)
    }
  }
}

/// What became of a trace.
package struct TraceOutcome: Sendable {
  package var path: String
  package var bytes: UInt64 = 0
  package var records: UInt64 = 0
  package var dropped: UInt64 = 0
  package var error: SystemError?
}

/// Before each piece of the spool, in the place of a record: whose it is, and how many follow.
struct SpoolHeader {
  var source: Int
  var count: Int

  init(source: Int, count: Int) {
    self.source = source
    self.count = count
  }

  init(_ record: TraceRecord) {
    source = Int(record.what)
    count = Int(record.task)
  }

  func write(to file: OutputFile) {
    let record = TraceRecord(what: UInt64(source), task: UInt64(count))
    unsafe withUnsafeBytes(of: record) { unsafe file.write($0) }
  }
}
