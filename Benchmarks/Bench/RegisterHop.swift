import CBenchRaw
import CPTO2Segment
import PTO2
import PTO2Launcher
import PTO2Orchestrator
import PTO2Protocol
import PTO2Segment
import PTO2System

/// The way every task takes at least: a dispatch word to a worker process, its
/// FIN back. This process plays the scheduler and dispatches one descriptor of
/// an empty kernel over and over.
enum RegisterHop {
  /// - Returns: microseconds of one hop: the median over the batches of 100 that
  ///   were done within the time.
  static func measure(hops: Int) throws -> Double {
    let directory = executableDirectory()
    let image = try KernelImage(path: directory + "libBenchKernels.so")
    let configuration = PTO2Segment.Configuration(
      rings: [
        PTO2Segment.Configuration.Ring(
          taskWindow: 2, consumedWindow: 2, heapBytes: 4096, dependencyPool: 4)
      ], lanes: 1, arenaBytes: 4096)
    let name = "pto2-bench-\(ProcessIdentity.current().pid)"
    let segment = try Segment.create(name: name, configuration: configuration, images: [image])
    segment.publish()
    let graph = try Graph(Orchestrator(segment), images: [image])
    defer { graph.orchestrator.pointee.segment.unlink() }
    let kernel = try graph.kernel("empty_aiv")
    // Nobody wires this task: only its descriptor, the ring's first, is used.
    try graph.submit(aiv: kernel) { _ in }

    let scheduler = try Segment.attach(name: name, role: .scheduler, timeoutMilliseconds: 1000)
    let core = 1  // aiv0
    let page = scheduler.corePage(core)
    let word = scheduler.ownDispatchLanes(core).word(0)
    let (cond, parked, ready) = (page.cond(0), page.parked, page.ready)
    word.storeRelaxed(PTO2_SCHEDULER_IDLE)

    let worker = try startWorker(directory, segment: name, core: coreName(core))
    defer { bench_reap(worker, 2) }
    defer {
      word.storeRelease(PTO2_EXIT_SIGNAL)
      fullFence()
      Futex.wake(word.shared)
    }
    let deadline = Deadline(afterMilliseconds: 10_000)
    while ready.loadAcquire() == 0 {
      guard !deadline.hasPassed else { throw BenchError("the worker did not become READY") }
      sleepNanoseconds(100_000)
    }

    let end = Deadline(afterMilliseconds: 5000)
    let slot = SubtaskSlot.aiv0.rawValue
    let words = [true, false].map {
      DispatchWord(descriptorOffset: 0, slot: slot, toggle: $0)!.rawValue
    }
    var batches: [Double] = []
    for batch in 0...max(1, hops / 100) {
      let begin = bench_nanoseconds()
      for hop in 0..<100 {
        let next = words[hop & 1]
        word.storeRelease(next)
        var backoff = Backoff()
        while cond.loadAcquire() != next | PTO2_COND_FIN {
          guard backoff.next() else { continue }
          // The worker may share this CPU, or have fallen asleep.
          fullFence()
          if parked.loadRelaxed() != 0 { Futex.wake(word.shared) }
          yieldProcessor()
          guard !end.hasPassed else {
            if batches.isEmpty { throw BenchError("no FIN within 5 s") }
            return median(batches)
          }
        }
      }
      // The first batch has page faults.
      if batch > 0 { batches.append(Double(bench_nanoseconds() - begin) / 100e3) }
    }
    return median(batches)
  }

  private static func startWorker(_ directory: String, segment: String, core: String) throws
    -> pid_t
  {
    let path = directory + "pto2-worker"
    let arguments = [
      path, "--segment", segment, "--core", core, "--parent", "\(ProcessIdentity.current().pid)",
    ]
    let pid = withCStrings(arguments) { bench_start(path, $0) }
    guard pid > 0 else { throw BenchError("\(path) cannot be started") }
    return pid
  }
}
