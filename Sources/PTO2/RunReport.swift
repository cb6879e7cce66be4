internal import CPTO2Segment
internal import PTO2Orchestrator
internal import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

/// What one run did, in numbers.
public struct RunReport: Sendable {
  /// What one core did.
  public struct Core: Sendable {
    /// `aic0`, `aiv0`, ...
    public var name: String
    /// Kernels it ran.
    public var kernels: Int
    /// The time in them, of this core alone; see `isKernelTimeSampled`.
    public var kernelSeconds: Double
  }

  /// What one ring held.
  public struct Ring: Sendable {
    /// Its sizes.
    public var configuration: Configuration.Ring
    /// Tasks of the run.
    public var submitted, released, consumed: Int
    /// The most that was in use at a time since the session began, of the
    /// configuration's sizes.
    public var peakTasks, peakUnconsumedTasks, peakDependencies, peakHeapBytes: Int
  }

  /// How often and how long a full resource held the program up.
  public struct Stall: Sendable {
    /// `main ring`, `heap ring`, ...
    public var resource: String
    /// Waits for it that were not over at once.
    public var count: Int
    /// The time in them.
    public var seconds: Double
  }

  /// A line that the program added.
  public struct Line: Sendable {
    /// What it is about.
    public var label: String
    /// What is said of it.
    public var value: String
  }

  /// What one of several ranks did.
  public struct Rank: Sendable {
    /// Tasks of the program that ran there, in the run.
    public var tasks: Int
    /// Messages that it has sent since the session began, and their bytes.
    public var transfers, sentBytes: Int
    /// Bytes that it has received.
    public var receivedBytes: Int
  }

  /// What was recorded of the session.
  public struct TraceFile: Sendable {
    /// Where it stands.
    public var path: String
    /// Its size.
    public var bytes: Int
    /// What it was made of.
    public var records: Int
    /// Records that found their buffer full, or were overwritten.
    public var dropped: Int
    /// Why it is not whole, or not there; nil when it is.
    public var error: String?
  }

  /// The segment's name.
  public var session: String
  /// From the start of the run to its end.
  public var seconds: Double
  /// Time in which submitted tasks were unfinished.
  public var graphSeconds: Double
  /// Tasks that were submitted.
  public var tasks: Int
  /// Dependencies of all tasks.
  public var edges: Int
  /// By core: aic0, aic1, ..., then aiv0, aiv1, ...
  public var cores: [Core]
  /// Not every run of a kernel was timed: those under 2 us are timed one in sixteen.
  public var isKernelTimeSampled: Bool
  /// By scope depth, from 0 on.
  public var rings: [Ring]
  /// By resource, all of them.
  public var stalls: [Stall]
  /// In the order in which the program added them.
  public var lines: [Line]
  /// Memory the segment takes.
  public var sharedMemoryBytes: Int
  /// As configured.
  public var schedulerThreads: Int
  /// Try-locks that another scheduler thread had, since the session began.
  public var lostLocks: Int
  /// Workers and schedulers started in the place of dead ones.
  public var workerRestarts, schedulerRestarts: Int
  /// Kernel runs lost with their workers, and made good.
  public var lostKernelRuns: Int
  /// Workers that were killed because their cores' pages had been overwritten.
  public var quarantinedWorkers: Int

  /// By rank, of a program that runs on several; empty otherwise. Everything else here is of
  /// this rank alone.
  public var ranks: [Rank] = []

  /// Of a session that is traced, once it is closed.
  public var trace: TraceFile?

  /// Kernel runs over all cores.
  public var kernels: Int { cores.reduce(0) { $0 + $1.kernels } }
  /// The time in them; more than `graphSeconds` where cores ran side by side.
  public var kernelSeconds: Double { cores.reduce(0) { $0 + $1.kernelSeconds } }

  /// Tasks in `graphSeconds`; 0 without any.
  public var tasksPerSecond: Double { graphSeconds > 0 ? Double(tasks) / graphSeconds : 0 }

  private let start: RunStart
}

/// What the counters of a session were when a run began.
struct RunStart: Sendable {
  let time = MonotonicClock.now()
  let cores: [pto2_core_counters]
  let lost, quarantined: UInt32
  let restarts: (workers: Int, schedulers: Int)

  init(_ processes: SessionProcesses) {
    cores = counters(processes)
    (lost, quarantined) = processes.withSegment {
      ($0.schedulerPage.failures.counts.lost, $0.schedulerPage.failures.counts.quarantined)
    }
    restarts = processes.restarts
  }
}

/// Of every core, as its worker counts them.
private func counters(_ processes: SessionProcesses) -> [pto2_core_counters] {
  processes.withSegment { segment in
    (0..<segment.configuration.coreCount).map { core in
      let counters = segment.corePage(core).counters
      return counters.isPlausible ? counters : pto2_core_counters()
    }
  }
}

extension RunReport {
  /// Reads the counters once the run is over.
  init(_ processes: SessionProcesses, since start: RunStart) {
    let orchestrator = unsafe processes.graph.orchestrator
    self.start = start
    session = processes.name
    seconds = Double(MonotonicClock.now() &- start.time) / 1e9
    graphSeconds = unsafe Double(orchestrator.pointee.busyNanoseconds) / 1e9
    tasks = unsafe Int(orchestrator.pointee.tasks)
    edges = unsafe Int(orchestrator.pointee.edges)
    lines = processes.graph.reportLines.map { Line(label: $0.label, value: $0.value) }
    stalls = StallReason.allCases.map { (reason: StallReason) in
      let stall = unsafe orchestrator.pointee.stalls[reason.rawValue]
      return Stall(
        resource: reason.name, count: Int(stall.count), seconds: Double(stall.nanoseconds) / 1e9)
    }
    ranks = unsafe orchestrator.pointee.rankTraffic.map {
      Rank(
        tasks: Int(clamping: $0.tasks), transfers: Int(clamping: $0.transfers),
        sentBytes: Int(clamping: $0.sentBytes), receivedBytes: Int(clamping: $0.receivedBytes))
    }
    sharedMemoryBytes = unsafe Int(orchestrator.pointee.segment.object.allocatedBytes())
    schedulerThreads = processes.configuration.schedulerThreads
    cores = []
    isKernelTimeSampled = false
    rings = []
    (lostLocks, lostKernelRuns, quarantinedWorkers) = (0, 0, 0)
    (workerRestarts, schedulerRestarts) = (0, 0)
    readCounters(processes)
  }

  /// With what the processes have published since, at their end.
  func completed(_ processes: SessionProcesses) -> RunReport {
    var report = self
    report.readCounters(processes)
    report.trace = processes.traceFile
    return report
  }

  /// Kernels are counted before their FIN, peaks before a task is dispatched: a run whose
  /// tasks are all CONSUMED is counted, and nothing of it comes later.
  private mutating func readCounters(_ processes: SessionProcesses) {
    var timed: UInt64 = 0
    cores = zip(counters(processes), start.cores).enumerated().map { index, pair in
      let (now, before) = pair
      let kernels = now.kernels &- min(before.kernels, now.kernels)
      let timedKernels = now.timed_kernels &- min(before.timed_kernels, now.timed_kernels)
      let nanoseconds =
        now.timed_nanoseconds &- min(before.timed_nanoseconds, now.timed_nanoseconds)
      timed += timedKernels
      let each = timedKernels > 0 ? Double(nanoseconds) / Double(timedKernels) : 0
      return Core(
        name: coreName(index), kernels: Int(kernels), kernelSeconds: each * Double(kernels) / 1e9)
    }
    isKernelTimeSampled = timed < kernels
    let restarts = processes.restarts
    workerRestarts = restarts.workers - start.restarts.workers
    schedulerRestarts = restarts.schedulers - start.restarts.schedulers
    let page = processes.withSegment {
      ($0.schedulerPage.failures.counts, $0.schedulerPage.counters)
    }
    lostKernelRuns = Int(page.0.lost &- start.lost)
    quarantinedWorkers = Int(page.0.quarantined &- start.quarantined)
    let counted = page.1
    lostLocks = Int(clamping: counted.lost_locks)
    rings = processes.configuration.rings.enumerated().map { index, configuration in
      let counts = unsafe processes.graph.orchestrator.pointee.counts(ring: index)
      let peaks = counted.peaks(ring: index)
      return Ring(
        configuration: configuration, submitted: Int(counts.submitted),
        released: Int(counts.released), consumed: Int(counts.consumed),
        peakTasks: Int(peaks.main), peakUnconsumedTasks: Int(peaks.consumed),
        peakDependencies: Int(peaks.pool),
        peakHeapBytes: min(Int(clamping: peaks.heap), configuration.heapBytes))
    }
  }
}
