internal import CPTO2Segment
internal import PTO2Orchestrator
internal import PTO2Segment
internal import PTO2System

/// What a run did: for people and as JSON.
struct Report {
  struct Ring {
    var submitted: UInt64
    var released: UInt64
    var consumed: UInt64
    var peakMain: UInt32
    var peakConsumed: UInt32
    var peakPool: UInt32
    var peakHeap: UInt64
    var configuration: Configuration.Ring
  }

  var program: String
  var session: String
  var seconds: Double
  var graphSeconds: Double
  var tasks: UInt64
  var edges: UInt64
  var kernels: UInt64
  var kernelSeconds: Double
  var isKernelTimeSampled: Bool
  var coreCount: Int
  var rings: [Ring]
  var stalls: [(StallReason, Stall)]
  var lines: [(label: String, value: String)]
  var reservedBytes: UInt64
  var schedulerThreads: UInt32
  /// Try-locks that another scheduler thread had.
  var lostLocks: UInt64
  /// Subtasks whose worker died, and workers started in the place of dead ones.
  var lostSubtasks: UInt32
  /// Workers killed because of what stood in their COND words.
  var quarantined: UInt32
  var workerRestarts: Int
  var schedulerRestarts: Int
  /// What `--faults` has done.
  var faults: [FaultOutcome]

  /// Reads the counters of a session whose processes have stopped.
  init(
    _ graph: Graph, program: String, seconds: Double, graphSeconds: Double, workerRestarts: Int,
    schedulerRestarts: Int, faults: [FaultOutcome] = []
  ) {
    self.faults = faults
    let orchestrator = unsafe graph.orchestrator
    self.program = program
    session = unsafe orchestrator.pointee.segment.name
    self.seconds = seconds
    self.graphSeconds = graphSeconds
    tasks = unsafe orchestrator.pointee.tasks
    edges = unsafe orchestrator.pointee.edges
    lines = graph.reportLines
    stalls = StallReason.allCases.map { (reason: StallReason) in
      (reason, unsafe orchestrator.pointee.stalls[reason.rawValue])
    }
    let configuration = unsafe orchestrator.pointee.segment.configuration
    coreCount = configuration.coreCount
    schedulerThreads = configuration.schedulerThreads
    lostSubtasks = unsafe orchestrator.pointee.failureCounts.lost
    quarantined = unsafe orchestrator.pointee.quarantinedWorkers
    self.workerRestarts = workerRestarts
    self.schedulerRestarts = schedulerRestarts
    reservedBytes = unsafe orchestrator.pointee.segment.object.allocatedBytes()

    var kernels: UInt64 = 0
    var timed: UInt64 = 0
    var nanoseconds = 0.0
    for index in 0..<coreCount {
      let counters = unsafe (orchestrator.pointee.segment.readCore(index) + Int(PTO2_CORE_COUNTERS))
        .load(as: pto2_core_counters.self)
      guard counters.isPlausible else { continue }
      kernels += counters.kernels
      timed += counters.timed_kernels
      if counters.timed_kernels > 0 {
        nanoseconds +=
          Double(counters.timed_nanoseconds) / Double(counters.timed_kernels)
          * Double(counters.kernels)
      }
    }
    self.kernels = kernels
    kernelSeconds = nanoseconds / 1e9
    isKernelTimeSampled = timed < kernels

    let counters = unsafe orchestrator.pointee.segment.read(.schedulerWords) + Int(PTO2_SCHED_COUNTERS)
    func counter<Value>(_ offset: Int, _ ring: Int, _ type: Value.Type) -> Value {
      unsafe counters.load(
        fromByteOffset: offset + ring * MemoryLayout<Value>.stride, as: Value.self)
    }
    typealias Counters = pto2_scheduler_counters
    lostLocks = counter(MemoryLayout<Counters>.offset(of: \.lost_locks)!, 0, UInt64.self)
    rings = []
    for ring in 0..<configuration.rings.count {
      let counts = unsafe orchestrator.pointee.counts(ring: ring)
      rings.append(
        Ring(
          submitted: counts.submitted, released: counts.released, consumed: counts.consumed,
          peakMain: counter(MemoryLayout<Counters>.offset(of: \.peak_main)!, ring, UInt32.self),
          peakConsumed: counter(
            MemoryLayout<Counters>.offset(of: \.peak_consumed)!, ring, UInt32.self),
          peakPool: counter(MemoryLayout<Counters>.offset(of: \.peak_dep_pool)!, ring, UInt32.self),
          peakHeap: counter(
            MemoryLayout<Counters>.offset(of: \.peak_heap_bytes)!, ring, UInt64.self),
          configuration: configuration.rings[ring]))
    }
  }

  var tasksPerSecond: Double { graphSeconds > 0 ? Double(tasks) / graphSeconds : 0 }

  /// Kernel time over the time all cores had.
  var kernelShare: Double { graphSeconds > 0 ? kernelSeconds / graphSeconds : 0 }

  var text: String {
    var text = "\(program): done in \(fixed(seconds, 3)) s\n"
    func line(_ label: String, _ value: String) {
      text += "  " + label + String(repeating: " ", count: max(1, 24 - label.count)) + value + "\n"
    }
    line("tasks", "\(tasks), \(edges) edges, \(fixed(tasksPerSecond, 0)) tasks/s")
    line(
      "time in kernels",
      "\(fixed(kernelSeconds, 3)) s\(isKernelTimeSampled ? " (sampled)" : "") of \(fixed(graphSeconds, 3)) s graph time, \(fixed(kernelShare, 2)) cores busy on average"
    )
    for (index, ring) in rings.enumerated() where ring.submitted > 0 {
      line(
        "ring \(index) peak use",
        "main \(ring.peakMain)/\(ring.configuration.taskWindow), consumed \(ring.peakConsumed)/\(ring.configuration.consumedWindow), heap \(formatBytes(ring.peakHeap))/\(formatBytes(ring.configuration.heapBytes)), dep pool \(ring.peakPool)/\(ring.configuration.dependencyPool)"
      )
      line(
        "ring \(index) watermarks",
        "submitted \(ring.submitted), released \(ring.released), consumed \(ring.consumed)")
    }
    for (reason, stall) in stalls where stall.count > 0 {
      line(
        "waited for \(reason.name)",
        "\(stall.count) times, \(fixed(Double(stall.nanoseconds) / 1e9, 3)) s")
    }
    if schedulerRestarts > 0 { line("schedulers restarted", "\(schedulerRestarts)") }
    if workerRestarts > 0 {
      line("workers restarted", "\(workerRestarts); \(lostSubtasks) kernel runs lost and made good")
    }
    for fault in faults { line("fault \(fault.index)", fault.text) }
    line("shared memory", formatBytes(reservedBytes))
    for (label, value) in lines { line(label, value) }
    return text
  }

  var json: String {
    var json = JSONObject()
    json.add("program", program)
    json.add("session", session)
    json.add("result", "success")
    json.add("seconds", seconds)
    json.add("graph_seconds", graphSeconds)
    json.add("tasks", tasks)
    json.add("edges", edges)
    json.add("tasks_per_second", tasksPerSecond)
    json.add("kernels", kernels)
    json.add("kernel_seconds", kernelSeconds)
    json.add("kernel_seconds_sampled", isKernelTimeSampled)
    json.add("cores", coreCount)
    json.add("shared_memory_bytes", reservedBytes)
    json.add("scheduler_threads", UInt64(schedulerThreads))
    json.add("lost_locks", lostLocks)
    json.add("worker_restarts", UInt64(workerRestarts))
    json.add("scheduler_restarts", UInt64(schedulerRestarts))
    json.add("lost_subtasks", UInt64(lostSubtasks))
    json.add("quarantined_workers", UInt64(quarantined))
    if !faults.isEmpty { json.add("faults", faults.map(\.json)) }
    json.add(
      "rings",
      rings.map { ring in
        var object = JSONObject()
        object.add("submitted", ring.submitted)
        object.add("released", ring.released)
        object.add("consumed", ring.consumed)
        object.add("task_window", UInt64(ring.configuration.taskWindow))
        object.add("consumed_window", UInt64(ring.configuration.consumedWindow))
        object.add("heap_bytes", ring.configuration.heapBytes)
        object.add("dep_pool", UInt64(ring.configuration.dependencyPool))
        object.add("peak_main", UInt64(ring.peakMain))
        object.add("peak_consumed", UInt64(ring.peakConsumed))
        object.add("peak_heap_bytes", ring.peakHeap)
        object.add("peak_dep_pool", UInt64(ring.peakPool))
        return object
      })
    json.add(
      "waits",
      stalls.map { reason, stall in
        var object = JSONObject()
        object.add("for", reason.name)
        object.add("count", stall.count)
        object.add("seconds", Double(stall.nanoseconds) / 1e9)
        return object
      })
    json.add(
      "report",
      lines.map { label, value in
        var object = JSONObject()
        object.add("label", label)
        object.add("value", value)
        return object
      })
    return json.text + "\n"
  }
}

/// A failed run, as JSON.
func failureJSON(
  program: String, error: PTO2Error, exitStatus: Int32, faults: [FaultOutcome] = []
) -> String {
  var json = JSONObject()
  json.add("program", program)
  json.add("result", "error")
  json.add("code", UInt64(error.code.rawValue))
  json.add("name", error.code.name)
  json.add("message", error.message)
  if let task = error.task { json.add("task", "\(task)") }
  if let ring = error.ring { json.add("ring", UInt64(ring)) }
  if error.needed > 0 {
    json.add("needed", error.needed)
    json.add("available", error.available)
  }
  if !faults.isEmpty { json.add("faults", faults.map(\.json)) }
  json.add("exit_status", UInt64(exitStatus))
  return json.text + "\n"
}
