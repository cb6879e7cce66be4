import CPTO2Segment
import Glibc
import PTO2
import PTO2Orchestrator
import PTO2Protocol
import PTO2Segment
import PTO2System
import Synchronization

/// What splitting the task ring in two gives: a main slot is free when its task
/// is RELEASED, and only 64 bytes of it stay until it is CONSUMED.
///
/// A single ring is one whose windows are equal: an entry that is not CONSUMED
/// then keeps a main slot from being used.
struct DualRing {
  var single: RingMemory
  var dual: RingMemory
  /// In the same session; the single ring's consumed window is its task window,
  /// the dual ring's four times that.
  var runs: [HeldUp]

  /// Tasks of a ring that may be submitted and not CONSUMED.
  static let inFlight: UInt32 = 65536

  static func measure(window: UInt32) throws -> DualRing {
    DualRing(
      single: RingMemory(taskWindow: inFlight, consumedWindow: inFlight),
      dual: RingMemory(
        taskWindow: inFlight / PTO2Segment.Configuration.consumedWindowFactor,
        consumedWindow: inFlight),
      runs: try HeldUp.measure(window: window))
  }
}

/// What the tasks of one ring take, by the section table of a segment.
struct RingMemory {
  var taskWindow: UInt32
  var consumedWindow: UInt32
  /// Of a task with two tensors and at most two scalars.
  static let payloadBytes = UInt64(PayloadShape(tensors: 2, scalars: 2).bytes)
  /// By section; of the payload ring, what so many tasks take.
  var bytes: [(name: String, bytes: UInt64)] = []

  init(taskWindow: UInt32, consumedWindow: UInt32) {
    self.taskWindow = taskWindow
    self.consumedWindow = consumedWindow
    let ring = PTO2Segment.Configuration.Ring(
      taskWindow: taskWindow, consumedWindow: consumedWindow,
      heapBytes: PTO2Segment.Configuration.defaultHeapBytes,
      dependencyPool: PTO2Segment.Configuration.defaultDependencyPool)
    let layout = SegmentLayout(
      PTO2Segment.Configuration(rings: [ring]), pageBytes: systemPageBytes())
    let sections: [(String, SectionKind)] = [
      ("main ring", .mainRing), ("descriptors", .dispatchTable), ("slot states", .slotStates),
      ("consumed ring", .consumedRing),
    ]
    for (name, kind) in sections { bytes.append((name, layout.section(kind).bytes)) }
    bytes.insert(("payload", UInt64(taskWindow) * Self.payloadBytes), at: 2)
  }

  var total: UInt64 { bytes.reduce(0) { $0 + $1.bytes } }
}

/// How far a program comes while one early output stays alive.
struct HeldUp {
  var name: String
  var taskWindow: UInt32
  var consumedWindow: UInt32
  /// Tasks of the ring that were submitted when the program was held up, the
  /// one with the output included.
  var tasks: UInt32

  /// One session with a ring of each kind. In each, a task puts out a tensor
  /// that a long kernel of the last ring reads, and then the program submits
  /// short tasks, each in a scope of its own, until it is held up. Only then the
  /// long kernel is let go.
  static func measure(window: UInt32) throws -> [HeldUp] {
    let wide = window * PTO2Segment.Configuration.consumedWindowFactor
    let rings: [(name: String, index: Int, consumedWindow: UInt32)] = [
      ("single", 1, window), ("dual", 2, wide),
    ]
    var configuration = PTO2.Configuration()
    configuration.rings = [window, window, wide, window].map {
      PTO2.Configuration.Ring(
        taskWindow: Int(window), consumedWindow: Int($0), heapBytes: 64 << 10,
        dependencyPool: 256)
    }
    configuration.arenaBytes = 64 << 10
    var found: [HeldUp] = []
    _ = try runOnce(configuration) { graph in
      for (name, index, consumedWindow) in rings {
        let watch = try Gatekeeper(graph, ring: index)
        defer { watch.finish() }
        // The scope that is opened at depth d puts its tasks into ring d.
        for _ in 1..<index { try graph.beginScope() }
        try fill(graph, watch.gate, ring: index, tasks: 2 * Int(consumedWindow))
        for _ in 1..<index { try graph.endScope() }
        try graph.wait()
        guard let tasks = watch.finish() else {
          throw BenchError("the \(name) ring never held the program up")
        }
        found.append(
          HeldUp(name: name, taskWindow: window, consumedWindow: consumedWindow, tasks: tasks))
      }
    }
    return found
  }

  private static func fill(_ graph: Graph, _ gate: Tensor<Int32>, ring: Int, tasks: Int) throws {
    let empty = try graph.kernel("empty_aiv")
    let hold = try graph.kernel("hold_aic")
    try graph.scope {
      let early = try graph.submit(aiv: empty) { $0.output(of: Float.self, Shape(16)) }
      // Down to the last ring, so that the long task holds no slot of this one.
      for _ in ring..<3 { try graph.beginScope() }
      try graph.submit(aic: hold) { task in
        task.unordered(gate)
        task.input(early)
      }
      for _ in ring..<3 { try graph.endScope() }
    }
    for _ in 0..<tasks { try graph.scope { try graph.submit(aiv: empty) { _ in } } }
  }
}

/// A thread that waits until the program sleeps because a ring's consumed window
/// is full, notes how far it has come, and lets the long kernel go.
private final class Gatekeeper: @unchecked Sendable {
  // Sendable: `seen` is written by the thread and read once it has ended; the
  // rest does not change.
  let gate: Tensor<Int32>
  private let word: OwnedWord
  private let parked, submitted: SharedWord
  private let reason: UInt32
  private let isOver = Atomic<Bool>(false)
  private var thread: pthread_t?
  private var seen: UInt32?

  init(_ graph: Graph, ring: Int) throws {
    gate = try graph.externalTensor(of: Int32.self, Shape(16))
    let orchestrator = graph.orchestrator
    guard let address = orchestrator.pointee.address(of: gate.untyped) else {
      throw BenchError("the gate has no memory")
    }
    word = OwnedWord(address)
    let page = orchestrator.pointee.segment.orchestratorPage
    (parked, submitted) = (page.parked, page.currentTaskIndex(ring))
    reason = PTO2_PARKED_ON_CONSUMED + UInt32(ring)
    var thread = pthread_t()
    let status = pthread_create(
      &thread, nil,
      { context in
        Unmanaged<Gatekeeper>.fromOpaque(context!).takeRetainedValue().watch()
        return nil
      }, Unmanaged.passRetained(self).toOpaque())
    guard status == 0 else { throw SystemError("pthread_create", "gatekeeper", errno: status) }
    self.thread = thread
  }

  /// Opens the gate and ends the thread.
  /// - Returns: tasks of the ring when the program was held up.
  @discardableResult
  func finish() -> UInt32? {
    isOver.store(true, ordering: .relaxed)
    if let thread { pthread_join(thread, nil) }
    thread = nil
    return seen
  }

  private func watch() {
    // The program cannot go on before the gate opens, so the count stands still.
    while !isOver.load(ordering: .relaxed), seen == nil {
      if parked.loadAcquire() == reason {
        seen = submitted.loadAcquire()
      } else {
        sleepNanoseconds(100_000)
      }
    }
    word.storeRelease(1)
  }
}

// MARK: Output

extension DualRing {
  var text: String {
    var memories = TextTable(
      [.init(""), .init("main slots", .right), .init("consumed entries", .right)]
        + single.bytes.map { .init($0.name, .right, width: 12) } + [.init("total", .right)])
    for (name, memory) in [("single ring", single), ("dual ring", dual)] {
      memories.add(
        [name, "\(memory.taskWindow)", "\(memory.consumedWindow)"]
          + memory.bytes.map { Self.mebibytes($0.bytes) } + [Self.mebibytes(memory.total)])
    }
    var held = TextTable([
      .init(""), .init("task window", .right), .init("consumed window", .right),
      .init("tasks", .right),
    ])
    for run in runs {
      held.add([run.name + " ring", "\(run.taskWindow)", "\(run.consumedWindow)", "\(run.tasks)"])
    }
    return """
      Bytes of a ring for \(Self.inFlight) tasks of two tensors in flight, by the layout
      \(memories.text)
      saved: \(Self.mebibytes(saved)) a ring, \(Self.mebibytes(4 * saved)) in the 4 rings of the \
      defaults (proposal 280: about 234 MB)

      Tasks submitted until the program is held up, one early output staying alive
      \(held.text)
      """
  }

  var json: String {
    func object(_ memory: RingMemory) -> JSONObject {
      var object = JSONObject()
      object.add("task_window", memory.taskWindow)
      object.add("consumed_window", memory.consumedWindow)
      for (name, bytes) in memory.bytes {
        object.add(name.replacing(" ", with: "_") + "_bytes", bytes)
      }
      object.add("total_bytes", memory.total)
      return object
    }
    var json = JSONObject()
    json.add("in_flight", Self.inFlight)
    json.add("single", object(single))
    json.add("dual", object(dual))
    json.add("saved_bytes", saved)
    json.add("saved_bytes_4_rings", 4 * saved)
    json.add(
      "runs",
      runs.map { run in
        var object = JSONObject()
        object.add("ring", run.name)
        object.add("task_window", run.taskWindow)
        object.add("consumed_window", run.consumedWindow)
        object.add("tasks_until_held_up", run.tasks)
        return object
      })
    return json.text + "\n"
  }

  private var saved: UInt64 { single.total - dual.total }

  private static func mebibytes(_ bytes: UInt64) -> String {
    fixed(Double(bytes) / 1_048_576, 1) + " MiB"
  }
}
