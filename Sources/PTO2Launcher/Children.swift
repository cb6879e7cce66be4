internal import Glibc
internal import PTO2System

/// A process to start.
package struct Launch: Sendable {
  package enum Role: Sendable, Equatable {
    case scheduler
    /// Of a core.
    case worker(Int)
    /// To the other ranks.
    case link
    /// Carries out a fault script.
    case faults
  }

  /// For people: `scheduler`, `worker aic0`.
  package var name: String
  package var role: Role
  package var executable: String
  package var arguments: [String]
  /// The one CPU it may use; nil: those that this process may use.
  package var cpu: Int?

  package init(
    name: String, role: Role, executable: String, arguments: [String], cpu: Int? = nil
  ) {
    self.name = name
    self.role = role
    self.cpu = cpu
    self.executable = executable
    self.arguments = arguments
  }
}

/// The processes a supervisor has started, and how often each has died.
struct Children {
  private(set) var list: [ChildProcess] = []
  /// Where workers write; nil: to standard error.
  var workerOutput: Int32?
  /// From now on a child that ends is no fault, and nobody is started any more.
  var isEnding = false
  /// Workers that were started in the place of one that had died; schedulers likewise.
  private(set) var workerRestarts = 0
  private(set) var schedulerRestarts = 0
  /// Of the scheduler's deaths, those of a signal it raised itself, or because it
  /// did not go round.
  var schedulerCrashes = 0
  /// By core, the READY word at its worker's last death, and how many workers
  /// have died since it last changed.
  private var lastReady: [Int: UInt32] = [:]
  private var deathsBeforeReady: [Int: Int] = [:]

  /// Workers of one core that may die one after the other before one is READY.
  private static let maximumDeathsBeforeReady = 3
  /// SIGKILL is somebody else's doing: so many count as one death.
  private static let killsForOneDeath = 40
  /// Deaths of schedulers by signals they raised themselves that a session survives.
  private static let maximumSchedulerCrashes = 10

  var hasScheduler: Bool { list.contains { $0.role == .scheduler } }

  mutating func start(_ launch: Launch) throws(SystemError) {
    list.append(try spawn(launch))
  }

  private func spawn(_ launch: Launch) throws(SystemError) -> ChildProcess {
    let isWorker = if case .worker = launch.role { true } else { false }
    return try ChildProcess.spawn(launch, output: isWorker ? workerOutput : nil)
  }

  /// Collects those that have ended since.
  mutating func reap() -> [ChildProcess] {
    var ended: [ChildProcess] = []
    for index in list.indices where list[index].end == nil {
      if list[index].reap() { ended.append(list[index]) }
    }
    return ended
  }

  /// Starts a process in the place of one that has died.
  mutating func startAgain(_ child: ChildProcess) throws(SystemError) {
    guard !isEnding, let index = list.firstIndex(where: { $0.pid == child.pid }) else { return }
    let next = try spawn(child.launch)
    if list[index].descriptor >= 0 { close(list[index].descriptor) }
    list[index] = next
    if child.role == .scheduler { schedulerRestarts += 1 } else { workerRestarts += 1 }
  }

  /// False when workers of this core keep dying before they serve.
  mutating func mayStartWorkerAgain(_ child: ChildProcess, core: Int, ready: UInt32) -> Bool {
    let weight = child.endingSignal == SIGKILL ? 1 : Self.killsForOneDeath
    let isFirst = lastReady.updateValue(ready, forKey: core) != ready && ready != 0
    deathsBeforeReady[core] = isFirst ? 0 : deathsBeforeReady[core, default: 0] + weight
    return deathsBeforeReady[core]! < Self.maximumDeathsBeforeReady * Self.killsForOneDeath
  }

  /// False for one that has exited, and when they keep crashing.
  mutating func mayStartSchedulerAgain(_ child: ChildProcess) -> Bool {
    guard let signal = child.endingSignal else { return false }
    if ![SIGKILL, SIGTERM, SIGINT, SIGHUP].contains(signal) { schedulerCrashes += 1 }
    return schedulerCrashes <= Self.maximumSchedulerCrashes
  }

  /// What poll(2) waits on: every child that runs.
  var entries: [pollfd] {
    list.filter { $0.end == nil }
      .map { pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0) }
  }

  func kill() { for child in list { child.signal(SIGKILL) } }

  /// Kills and collects every child that is left.
  /// - Returns: their names.
  mutating func killRest() -> [String] {
    var killed: [String] = []
    for index in list.indices where !list[index].reap() {
      list[index].signal(SIGKILL)
      killed.append(list[index].name)
    }
    // SIGKILL takes effect at once, but for a process in the middle of a system call that
    // does not end.
    let deadline = Deadline(afterMilliseconds: 2000)
    for index in list.indices {
      while !list[index].reap() && !deadline.hasPassed { sleepNanoseconds(200_000) }
    }
    return killed
  }

  /// - Parameter areOwn: false when the program has put other files there.
  mutating func closeDescriptors(areOwn: Bool) {
    for child in list where areOwn && child.descriptor >= 0 { close(child.descriptor) }
    list = []
  }
}
