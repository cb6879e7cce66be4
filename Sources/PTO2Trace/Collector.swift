internal import PTO2Protocol
package import PTO2Segment
package import PTO2System
internal import Synchronization

/// Reads the trace buffers of a session while it lasts, into a file without a name; puts it all
/// together and writes the trace when the session is over.
@safe package final class TraceCollector: @unchecked Sendable {
  // Sendable: `readers` and `spool` belong to the thread until `finish` has joined it.
  private var readers: [(source: TraceSource, reader: TraceReader)]
  private let spool: OutputFile
  private let output: OutputFile
  private let firstPosition: UInt32
  private var session: TraceSession
  private let isStopping = Atomic<Bool>(false)
  private var thread: SpawnedThread?
  private var faults: [TraceInstant] = []

  /// How long it sleeps between two looks: the default buffers take 262,000 records.
  private static let pauseNanoseconds: UInt64 = 5_000_000

  /// - Parameter path: of the trace, which is made or emptied at once.
  package init(_ segment: borrowing Segment, path: String) throws(SystemError) {
    output = try OutputFile(creating: path)
    spool = try OutputFile(besides: path)
    let configuration = segment.configuration
    firstPosition = configuration.firstPosition
    readers = []
    for source in configuration.traceSources {
      readers.append((source, segment.traceReader(source)))
    }
    session = TraceSession()
    session.name = segment.name
    session.pid = UInt64(clamping: segment.creator().pid)
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

  private func run() {
    while !isStopping.load(ordering: .acquiring) {
      takeAll()
      sleepNanoseconds(Self.pauseNanoseconds)
    }
  }

  private func takeAll() {
    for place in readers.indices {
      let source = readers[place].source.index
      unsafe readers[place].reader.take { records in
        SpoolHeader(source: source, count: records.count / MemoryLayout<TraceRecord>.stride)
          .write(to: spool)
        unsafe spool.write(records)
      }
    }
  }

  /// A fault script's fault, which counts once the session is over.
  package func note(_ instants: [TraceInstant]) { faults += instants }

  /// The last records, then the trace: once, when nobody records any more.
  /// - Parameter scopes: the names of scopes, by number less one.
  package func finish(scopes: [String]) -> TraceOutcome {
    isStopping.store(true, ordering: .releasing)
    thread?.join()
    thread = nil
    takeAll()
    session.dropped = readers.reduce(0) { $0 &+ min($1.reader.dropped, 1 << 40) }
    session.damaged = readers.reduce(0) { $0 &+ $1.reader.damaged }
    readers = []
    session.scopes = scopes
    var outcome = TraceOutcome(path: output.path)
    do throws(SystemError) {
      if let error = spool.error { throw error }
      let session = session
      let joined = unsafe try spool.withContents { bytes in
        unsafe TraceJoin(session, firstPosition: firstPosition).trace(bytes)
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
