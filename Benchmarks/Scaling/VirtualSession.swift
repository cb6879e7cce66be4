import CTaskBench
import Glibc
import PTO2Orchestrator
import PTO2Protocol
import PTO2Scheduler
import PTO2Segment
import PTO2System

/// What one simulation is of.
struct Setting {
  /// Nanoseconds that are not measured.
  struct Costs {
    /// A core's own for a task, beside the kernel.
    var core: Int
    /// A cache line that another CPU has written.
    var line: Int
  }

  var pattern: taskbench_pattern
  var clusters: Int
  var threads: Int
  /// Nanoseconds.
  var kernel: Int
  var tasks: Int
  var costs: Costs
  /// Submitting takes the time that is measured; otherwise none.
  var isSubmitTimed = false
  var worksAhead = true
  var hasFreeLocks = false
  var isBroken = false

  /// Two points of a step for each core, in as many graphs as they need.
  var points: Int { 6 * clusters }
  var copies: Int { (points + 59) / 60 }
  var width: Int { (points + copies - 1) / copies }
  var steps: Int { max(2, tasks / (copies * width)) }
}

/// What has come of one simulation. Times are nanoseconds.
struct Outcome {
  var setting: Setting
  var tasks: Int
  var dependencies: Int
  /// From the first step of a thread to the last FIN.
  var elapsed: Int
  var kernelTime: Int
  /// By scheduler thread, in steps that did something.
  var busy: [Int]
  var submitting: Int
  var lostLocks: UInt64

  var utilisation: Double {
    Double(kernelTime) / (Double(elapsed) * Double(3 * setting.clusters))
  }
  var tasksPerSecond: Double { Double(tasks) / Double(elapsed) * 1e9 }
  var schedulerShare: Double { Double(busy.max() ?? 0) / Double(elapsed) }
  var schedulerPerTask: Double { Double(busy.reduce(0, +)) / Double(tasks) }
}

/// The real orchestrator and the real scheduler on a segment of this process, and virtual cores.
///
/// Each scheduler thread has a clock of its own. A step begins at its thread's clock, sees what
/// was stored by then, and moves the clock by the CPU time that it took; the thread that is
/// furthest behind goes next. So nothing runs beside anything else, and no step costs more
/// because of others.
final class VirtualSession {
  private let setting: Setting
  private let window: Int
  private let program: VirtualProgram
  private let scheduler: SteppedScheduler
  private let cores: VirtualCores
  private let words: SchedulerPage<SharedWord>
  /// For `words`.
  private let reader: Segment

  private var clocks: [Int]
  private var busy: [Int]
  /// It had nothing to do in its last step, and nothing has happened since.
  private var isIdle: [Bool]
  /// Until when it is in its last step, and which locks it had there.
  private var holds: [(until: Int, log: Bool, dispatcher: Bool)]
  private var submitClock = 0
  private var submitTime = 0
  private let clockCost: Int
  private let deadline = Deadline(afterMilliseconds: 60_000)

  nonisolated(unsafe) private static var count = 0

  init(_ setting: Setting) throws {
    self.setting = setting
    var consumedWindow: UInt32 = 64
    while Int(consumedWindow) <= setting.tasks + setting.copies * setting.width * 2 {
      consumedWindow *= 2
    }
    let window = min(PTO2Segment.Configuration.defaultTaskWindow, consumedWindow)
    self.window = Int(window)
    let configuration = PTO2Segment.Configuration(
      rings: [
        PTO2Segment.Configuration.Ring(
          taskWindow: window, consumedWindow: consumedWindow,
          heapBytes: 128 * UInt64(consumedWindow), dependencyPool: 16 * window)
      ],
      clusters: UInt32(setting.clusters), schedulerThreads: UInt32(setting.threads),
      arenaBytes: 1 << 20, flags: setting.worksAhead ? .quiet : [.quiet, .noAhead])
    Self.count += 1
    let name = "pto2-\(getpid())-scaling-\(Self.count)"
    let segment = try Segment.create(name: name, configuration: configuration, images: [])
    segment.publish()
    let graph = try Graph(Orchestrator(segment), images: [])
    // Nobody else is to find it, and nothing to be left.
    defer { graph.orchestrator.pointee.segment.unlink() }
    func attach(_ role: RoleSet) throws -> Segment {
      try Segment.attach(name: name, role: role, timeoutMilliseconds: 0)
    }
    reader = try attach(.worker)
    words = reader.schedulerPage
    cores = try VirtualCores(attach(.worker), setting)
    scheduler = SteppedScheduler(try attach(.scheduler))
    program = try VirtualProgram(graph, setting)
    clocks = Array(repeating: 0, count: setting.threads)
    busy = clocks
    isIdle = Array(repeating: false, count: setting.threads)
    holds = Array(repeating: (0, false, false), count: setting.threads)
    clockCost = (0..<64).map { _ in -CPUTime.now() + CPUTime.now() }.min()!
  }

  func run() throws -> Outcome {
    if !setting.isSubmitTimed { try topUp(at: 0) }
    while !(program.isDone && scheduler.isDrained) {
      if deadline.hasPassed { throw ScalingError("not over after 60 s: \(progress)") }
      try goOn()
      if let failure = scheduler.failure { throw ScalingError("\(failure)") }
    }
    try program.check()
    let (submitted, consumed) = (program.tasks.count, Int(words.consumed(0).loadAcquire()))
    guard consumed == submitted else {
      throw ScalingError("\(consumed) of \(submitted) tasks are CONSUMED")
    }
    return Outcome(
      setting: setting, tasks: submitted, dependencies: program.dependencies,
      elapsed: cores.lastEnd, kernelTime: cores.kernelTime, busy: busy, submitting: submitTime,
      lostLocks: scheduler.lostLocks)
  }

  /// What comes next by the clocks.
  private func goOn() throws {
    let thread = clocks.indices.filter { !isIdle[$0] }.min { clocks[$0] < clocks[$1] }
    let maySubmit = setting.isSubmitTimed && !program.isDone && room > 0
    let now = min(
      thread.map { clocks[$0] } ?? .max, maySubmit ? submitClock : .max)
    let end = cores.nextEnd
    if isIdle.contains(true), end <= now, end != .max {
      cores.finish(until: end)
      wake(at: end)
    } else if now == .max {
      throw ScalingError("nothing goes on: \(progress)")
    } else {
      cores.finish(until: now)
      if maySubmit && submitClock == now {
        try submitTimed()
      } else if let thread {
        try step(thread)
      }
    }
  }

  private func step(_ thread: Int) throws {
    let (begin, wired, dispatched) = (
      clocks[thread], scheduler.wired, scheduler.dispatched(thread)
    )
    let wasFull = setting.isSubmitTimed && room == 0
    let others = holds.indices.filter { $0 != thread && holds[$0].until > begin }
    scheduler.hold(
      log: others.contains { holds[$0].log }, dispatcher: others.contains { holds[$0].dispatcher })
    let before = CPUTime.now()
    let work = scheduler.step(thread)
    let taken = CPUTime.now() - before - clockCost
    scheduler.hold(log: false, dispatcher: false)
    let records = Int(scheduler.wired &- wired)
    let dispatches = Int(scheduler.dispatched(thread) - dispatched)
    let lines = cores.unseen[thread] + records + dispatches
    cores.didLook(thread)
    let end = begin + max(1, taken) + lines * setting.costs.line
    let count = try cores.take(at: end, program)
    guard count == dispatches else {
      throw ScalingError("\(dispatches) dispatches, and \(count) in the lanes")
    }
    clocks[thread] = end
    let locks = setting.hasFreeLocks ? 0 : 1
    holds[thread] = (end, records * locks > 0, dispatches * locks > 0)
    isIdle[thread] = work == 0
    if work == 0 { return }
    busy[thread] += end - begin
    wake(at: end)
    if wasFull { submitClock = max(submitClock, end) }
    if !setting.isSubmitTimed { try topUp(at: end) }
  }

  /// Something has happened that may be of interest to any thread.
  private func wake(at time: Int) {
    for thread in clocks.indices where isIdle[thread] {
      isIdle[thread] = false
      clocks[thread] = max(clocks[thread], time)
    }
  }

  // MARK: The program

  /// Tasks that can be submitted without waiting.
  private var room: Int {
    window - Int(UInt32(program.tasks.count) &- words.released(0).loadAcquire())
  }

  /// Submits at no cost, a good many at once, so that the scheduler keeps its caches.
  private func topUp(at time: Int) throws {
    let left = program.count - program.tasks.count
    let room = room
    guard left > 0, room >= min(left, window / 4) else { return }
    for _ in 0..<min(left, room) { try program.submitOne() }
    wake(at: time)
  }

  private func submitTimed() throws {
    let before = CPUTime.now()
    try program.submitOne()
    let taken = max(1, CPUTime.now() - before - clockCost)
    submitClock += taken
    submitTime += taken
    wake(at: submitClock)
  }

  private var progress: String {
    "\(program.tasks.count) of \(program.count) tasks submitted, \(words.released(0).loadAcquire()) RELEASED, \(words.consumed(0).loadAcquire()) CONSUMED"
  }
}

/// CPU time of this thread, in nanoseconds: what others do to it is not in it.
enum CPUTime {
  static func now() -> Int {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return time.tv_sec * 1_000_000_000 + time.tv_nsec
  }
}
