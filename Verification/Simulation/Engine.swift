internal import CSimulation
internal import PTO2System

/// What a role is, and so which words it may write.
enum RoleKind { case orchestrator, scheduler, core, link }

/// One role of the simulation: a coroutine.
struct Role {
  var name: String
  var kind: RoleKind
  /// The core it hosts, else -1.
  var core: Int
  /// Which of several ranks it is of.
  var rank = 0
  var pid: Int32
  /// Scheduling points so far.
  var points = 0
  /// Of these, since it last slept or said that it has nothing to do.
  var busy = 0
  var isLive = false
  /// When it goes on by itself; `UInt64.max` = never.
  var wakeTime = UInt64.max
  /// Words it sleeps on.
  var waitCount = 0
  /// The role whose end it waits for, else 0.
  var joins = 0
}

/// Why a run is wrong.
struct Failure: Error {
  var invariant: String
  var detail: String
  var step: Int
  var role: String
}

/// Runs roles as coroutines, one shared access at a time. Coroutine 0 is the
/// caller of `run`.
final class Engine: @unchecked Sendable {
  // Sendable: there is one thread.
  static let shared = Engine()

  private(set) var roles: [Role] = []
  private var bodies: [() -> Void] = []
  private(set) var current = 0
  /// A bit per role that can go on.
  private var runnable: UInt64 = 0
  private var live = 0
  private(set) var steps = 0
  private var time: UInt64 = 0
  /// No role goes on by itself before.
  private var nextTimer = UInt64.max
  private(set) var failure: Failure?
  private var isRunning = false

  private var strategy: Strategy
  /// By rank.
  private var checks: [Checks] = []
  private var trace: Trace?
  private var stepLimit = 0
  private var hasPointsAfterStores = true
  /// Time slices that a role has used up, without a pause or a sleep.
  private(set) var slices = 0
  /// True until a role has been killed: then nobody may need a time limit.
  private var isWhole = true
  private var timeLimit = UInt64.max
  private var crashes: [CrashPoint] = []
  private var ended: [Int32: UInt64] = [:]
  private var onCrash: ((Int32) -> Void)?
  private var spuriousRate = 0
  private var spurious = SplitMix64(seed: 0)
  private var lastStore: UInt = 0

  private static let maximumWords = 128
  private var waitWords = [UInt](repeating: 0, count: Int(SIM_COROUTINES) * maximumWords)
  private var waitValues = [UInt32](repeating: 0, count: Int(SIM_COROUTINES) * maximumWords)

  private init() {
    strategy = Strategy.first
    Self.install()
  }

  // MARK: A run

  struct Settings {
    var stepLimit = 3_000_000
    /// One in this many steps wakes a sleeper without a reason; 0 = none.
    var spuriousRate = 0
    var spuriousSeed: UInt64 = 0
    var spins: UInt32 = 1
    /// False: no role goes on between a store and the plain accesses behind it.
    var hasPointsAfterStores = true
    var crashes: [CrashPoint] = []
    var onCrash: ((Int32) -> Void)?
  }

  func prepare(_ strategy: Strategy, _ settings: Settings) {
    roles = [Role(name: "main", kind: .orchestrator, core: -1, pid: 0)]
    bodies = [{}]
    runnable = 0
    live = 0
    steps = 0
    slices = 0
    time = 1_000_000_000
    nextTimer = UInt64.max
    failure = nil
    isWhole = true
    timeLimit = UInt64.max
    ended = [:]
    checks = []
    trace = nil
    self.strategy = strategy
    stepLimit = settings.stepLimit
    hasPointsAfterStores = settings.hasPointsAfterStores
    crashes = settings.crashes
    onCrash = settings.onCrash
    spuriousRate = settings.spuriousRate
    spurious = SplitMix64(seed: settings.spuriousSeed)
    sim_set_now(time)
    sim_set_spins(settings.spins)
  }

  func watch(_ checks: [Checks], _ trace: Trace?) {
    self.checks = checks
    self.trace = trace
  }

  /// - Parameter isDormant: runs only after `start`.
  @discardableResult
  func add(
    _ name: String, _ kind: RoleKind, core: Int = -1, rank: Int = 0, pid: Int32,
    isDormant: Bool = false,
    _ body: @escaping () -> Void
  ) -> Int {
    let index = roles.count
    precondition(index < Int(SIM_COROUTINES))
    roles.append(Role(name: name, kind: kind, core: core, rank: rank, pid: pid))
    bodies.append(body)
    sim_prepare(Int32(index)) { Engine.shared.enter(Int($0)) }
    if !isDormant { start(index) }
    return index
  }

  /// Makes a dormant role live, now or later.
  func start(_ index: Int, afterNanoseconds delay: UInt64 = 0) {
    roles[index].isLive = true
    live += 1
    if delay == 0 { runnable |= 1 << UInt64(index) } else { setTimer(index, time &+ delay) }
  }

  /// Runs until every live role has ended, or one has failed.
  func run() {
    strategy.begin(roleCount: roles.count)
    isRunning = true
    unsafe sim_activate(Self.hooks)
    current = 0
    leave()
    sim_activate(nil)
    isRunning = false
    bodies = []
    onCrash = nil
    checks = []
    sim_set_pid(0)
  }

  private func enter(_ index: Int) {
    bodies[index]()
    end(index)
    leave()
  }

  private func end(_ index: Int) {
    roles[index].isLive = false
    roles[index].waitCount = 0
    roles[index].wakeTime = .max
    live -= 1
    runnable &= ~(1 << UInt64(index))
    for other in roles.indices where roles[other].joins == index && roles[other].isLive {
      roles[other].joins = 0
      runnable |= 1 << UInt64(other)
    }
  }

  /// Somebody else goes on; this role perhaps later.
  private func leave() {
    while runnable == 0 {
      if live == 0 { return go(0) }
      advance()
    }
    let next = strategy.next(current, runnable, .blocked)
    if next != current { go(next) }
  }

  private func go(_ next: Int) {
    let from = current
    current = next
    sim_set_pid(roles[next].pid)
    sim_switch(Int32(from), Int32(next))
  }

  /// The run is over, and wrong. Does not return to a role.
  func fail(_ invariant: String, _ detail: String) {
    guard isRunning else { return }
    if failure == nil {
      failure = Failure(
        invariant: invariant, detail: detail, step: steps, role: roles[current].name)
    }
    trace?.note("FAILURE \(invariant): \(detail)", step: steps, role: roles[current].name)
    if current != 0 { go(0) }
  }

  // MARK: Steps

  @inline(__always)
  private func point(_ reason: Strategy.Reason) {
    steps &+= 1
    // A yield costs a few microseconds, so that a role that does nothing else
    // sees time limits pass.
    time &+= reason == .yield ? 5_000 : 20
    if time >= nextTimer { fireTimers() }
    sim_set_now(time)
    roles[current].points &+= 1
    if steps >= stepLimit {
      return fail("liveness", "no end after \(steps) steps of a fair schedule")
    }
    for crash in crashes
    where crash.role == current && crash.pid == roles[current].pid
      && roles[current].points == crash.point
    {
      kill(crash.pid)
    }
    var reason = reason
    roles[current].busy &+= 1
    if reason != .step || roles[current].busy > Self.slice {
      if reason == .step {
        endSlice()
        reason = .slice
      }
      roles[current].busy = 0
    }
    if spuriousRate > 0 && spurious.below(spuriousRate) == 0 { wakeAnybody() }
    let next = strategy.next(current, runnable, reason)
    if next != current { go(next) }
  }

  /// A role that does not let go of its CPU is preempted, and time limits pass.
  private static let slice = 2000
  private func endSlice() {
    slices += 1
    time &+= 4_000_000
    fireTimers()
  }

  @inline(__always)
  fileprivate func access(_ kind: Int32, _ address: UInt, _ value: UInt64) {
    point(.step)
    if kind != SIM_LOAD && kind != SIM_DATA_LOAD {
      lastStore = address
      if !checks.isEmpty {
        checks[roles[current].rank].willStore(roles[current], kind, address, value)
      }
    }
    trace?.access(kind, address, value, step: steps, role: roles[current].name)
  }

  fileprivate func done() {
    if hasPointsAfterStores { point(.step) }
  }

  fileprivate func kernel(_ ends: Bool, _ task: Int, _ slot: UInt32, _ block: UInt32) {
    trace?.note(
      "kernel \(ends ? "ends" : "begins"): task \(task) slot \(slot) block \(block)", step: steps,
      role: roles[current].name)
    guard !checks.isEmpty else { return }
    checks[roles[current].rank].kernel(
      ends: ends, task: task, slot: slot, block: block, core: roles[current].core)
  }

  fileprivate func pause() { point(.yield) }

  // MARK: Sleeping

  fileprivate func wait(
    _ words: UnsafePointer<UnsafePointer<UInt32>?>, _ expected: UnsafePointer<UInt32>,
    _ count: Int, _ timeout: Int64
  ) {
    point(.step)
    let first = current * Self.maximumWords
    for index in 0..<count {
      guard let word = unsafe words[index] else { continue }
      let address = UInt(bitPattern: word)
      if unsafe sim_peek(address) != expected[index] { return }
      waitWords[first + index] = address
      unsafe waitValues[first + index] = expected[index]
    }
    trace?.sleep(
      (0..<count).map { (waitWords[first + $0], waitValues[first + $0]) }, step: steps,
      role: roles[current].name)
    roles[current].waitCount = count
    setTimer(current, timeout < 0 ? .max : time &+ UInt64(timeout))
    roles[current].busy = 0
    runnable &= ~(1 << UInt64(current))
    leave()
  }

  fileprivate func wake(_ address: UInt) {
    trace?.wake(address, step: steps, role: roles[current].name)
    for index in roles.indices where roles[index].waitCount > 0 {
      let first = index * Self.maximumWords
      for word in first..<first + roles[index].waitCount where waitWords[word] == address {
        rouse(index)
        break
      }
    }
    point(.step)
  }

  private func setTimer(_ index: Int, _ time: UInt64) {
    roles[index].wakeTime = time
    nextTimer = min(nextTimer, time)
  }

  private func rouse(_ index: Int) {
    roles[index].waitCount = 0
    roles[index].wakeTime = .max
    runnable |= 1 << UInt64(index)
  }

  private func wakeAnybody() {
    let sleepers = roles.indices.filter { roles[$0].waitCount > 0 }
    if !sleepers.isEmpty { rouse(sleepers[spurious.below(sleepers.count)]) }
  }

  /// The strategy explores what follows, or takes the usual way.
  func explore(_ isExploring: Bool) { strategy.isExploring = isExploring }

  func sleep(_ nanoseconds: UInt64) {
    setTimer(current, time &+ max(nanoseconds, 1))
    runnable &= ~(1 << UInt64(current))
    leave()
  }

  /// Blocks until another role has ended: pthread_join.
  func join(_ index: Int) {
    guard roles[index].isLive else { return }
    roles[current].joins = index
    runnable &= ~(1 << UInt64(current))
    leave()
  }

  /// Nobody can go on: time passes. While every role lives, nobody who sleeps
  /// on words may need that.
  private func advance() {
    if isWhole {
      let isDozing = roles.indices.contains {
        roles[$0].waitCount == 0 && roles[$0].wakeTime != .max
      }
      for index in roles.indices where roles[index].waitCount > 0 {
        // While something is still to come, an orchestrator need not have what it waits for,
        // of which it has said how much that is.
        if isDozing && roles[index].kind == .orchestrator { continue }
        let first = index * Self.maximumWords
        for word in first..<first + roles[index].waitCount
        where sim_peek(waitWords[word]) != waitValues[word] && !isSettingUp(word) {
          return fail(
            "lost wake",
            "everybody sleeps, \(roles[index].name) on \(name(waitWords[word])), which has been \(waitValues[word]) and is \(sim_peek(waitWords[word]))"
          )
        }
      }
      if !isDozing {
        let sleepers = roles.indices.filter { roles[$0].isLive }.map { index -> String in
          let first = index * Self.maximumWords
          let words = (first..<first + roles[index].waitCount).map {
            name(waitWords[$0])
          }
          return "\(roles[index].name) (\(words.joined(separator: ", ")))"
        }
        return fail(
          "liveness", "everybody sleeps and nothing is new: \(sleepers.joined(separator: "; "))")
      }
    }
    var earliest = UInt64.max
    for role in roles where role.isLive { earliest = min(earliest, role.wakeTime) }
    guard earliest != .max else { return fail("liveness", "nobody can ever go on") }
    time = max(time, earliest)
    sim_set_now(time)
    if time > timeLimit {
      return fail("liveness", "survivors have not ended 20 s after the crash")
    }
    fireTimers()
  }

  /// DATA_MAIN_BASE of a fresh page is 0, then says that nothing was dispatched.
  private func isSettingUp(_ word: Int) -> Bool {
    waitValues[word] == 0 && sim_peek(waitWords[word]) == 0x7FFF_FFFD
  }

  private func fireTimers() {
    nextTimer = UInt64.max
    for index in roles.indices where roles[index].isLive {
      if roles[index].wakeTime <= time {
        rouse(index)
      } else {
        nextTimer = min(nextTimer, roles[index].wakeTime)
      }
    }
  }

  // MARK: Crashes

  /// Gives a role that has not begun its place.
  func adopt(_ index: Int, core: Int, pid: Int32) {
    roles[index].core = core
    roles[index].pid = pid
  }

  /// SIGKILL: every role of the process stops where it is.
  func kill(_ pid: Int32) {
    isWhole = false
    timeLimit = time &+ 20_000_000_000
    ended[pid] = time
    crashes.removeAll { $0.pid == pid }
    trace?.note("KILLED", step: steps, role: roles[current].name)
    let isOwn = roles[current].pid == pid
    for index in roles.indices where roles[index].pid == pid && roles[index].isLive {
      if roles[index].core >= 0, !checks.isEmpty {
        checks[roles[index].rank].workerDied(core: roles[index].core)
      }
      end(index)
    }
    for check in checks { check.hasCrashed = true }
    onCrash?(pid)
    if isOwn { leave() }
  }

  /// What lies there, for people.
  private func name(_ address: UInt) -> String {
    (checks.first { $0.names.has(address) } ?? checks.first)?.name(address) ?? "?"
  }

  /// When a process was killed.
  func timeOfDeath(_ pid: Int32) -> UInt64? { ended[pid] }
  var now: UInt64 { time }

  fileprivate func exit() {
    let pid = roles[current].pid
    ended[pid] = time
    for index in roles.indices where roles[index].pid == pid && roles[index].isLive { end(index) }
    leave()
  }
}

extension Engine {
  nonisolated(unsafe) private static let hooks: UnsafePointer<sim_hooks> = {
    let hooks = UnsafeMutablePointer<sim_hooks>.allocate(capacity: 1)
    unsafe hooks.initialize(
      to: sim_hooks(
        access: { Engine.shared.access($0, $1, $2) }, done: { Engine.shared.done() },
        wait: { unsafe Engine.shared.wait($0!, $1!, Int($2), $3) },
        wake: { Engine.shared.wake($0) }, pause: { Engine.shared.pause() },
        sleep: { Engine.shared.sleep($0) }, exit: { _ in Engine.shared.exit() },
        has_ended: { Engine.shared.ended[$0] == nil ? 0 : 1 },
        kernel: { Engine.shared.kernel($0 != 0, Int($1), $2, $3) }))
    return unsafe UnsafePointer(hooks)
  }()

  /// A trap of a role is a failure of its run.
  private static func install() {
    sim_catch_traps { signal, address in
      Engine.shared.trap(signal, address)
    }
  }

  private func trap(_ signal: Int32, _ address: UInt) {
    guard isRunning else { fatalError("signal \(signal) in the simulator itself") }
    fail("no trap", "signal \(signal) at \(name(address))")
  }
}
