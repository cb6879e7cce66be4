internal import CPTO2Faults
internal import Glibc
internal import PTO2Protocol
internal import PTO2Segment
package import PTO2System

/// A thread that is traced. `Tracer` owns it.
@safe package final class TracedThread {
  package let id: Int32
  package let process: TracedProcess
  package fileprivate(set) var isStopped = false
  /// Stays stopped until `Tracer.release`.
  fileprivate var isHeld = false
  fileprivate var isArmed = false
  /// Begins to loop when it stops next.
  fileprivate var isToLoop = false
  fileprivate var pendingSignal: Int32 = 0
  /// The system call it is in, and whether that one was left out.
  fileprivate var call: Int64 = -1
  fileprivate var isSkipping = false

  fileprivate init(id: Int32, process: TracedProcess) {
    self.id = id
    self.process = process
  }
}

/// A process of a session, as its tracer sees it.
@safe package final class TracedProcess {
  package let id: Int32
  package fileprivate(set) var role: ProcessRole?
  /// Words whose stores stop it.
  package fileprivate(set) var watches: [WordWatch] = []
  package fileprivate(set) var threads: [Int32: TracedThread] = [:]
  /// Where it has mapped the segment; nil until it has.
  fileprivate var base: UInt64?
  /// It has not mapped the segment yet, or its words are not known yet.
  fileprivate var isSeeking = true
  fileprivate var isHeld = false
  fileprivate var wakesToDrop = 0

  fileprivate init(id: Int32) { self.id = id }
}

/// What a process is in its session.
package enum ProcessRole: Hashable, Sendable, CustomStringConvertible {
  case orchestrator, scheduler
  case worker(Int)

  package var description: String {
    switch self {
    case .orchestrator: "orchestrator"
    case .scheduler: "scheduler"
    case .worker(let core): "worker \(coreName(core))"
    }
  }
}

/// One or two words of the segment, side by side.
package struct WordWatch: Equatable, Sendable {
  /// Bytes from the start of the segment, a multiple of `bytes`.
  package var offset: UInt64
  /// 4 or 8.
  package var bytes: UInt32

  package init(offset: UInt64, bytes: UInt32) {
    self.offset = offset
    self.bytes = bytes
  }

  package func contains(_ other: UInt64) -> Bool { other >= offset && other - offset < bytes }

  /// So many words a process can be watched for.
  package static let maximum = Int(PTO2_TRACE_WATCHES)
}

/// Traces the processes of a session: every thread of each, from its first
/// instruction when the orchestrator is followed. Stores to chosen words of the
/// segment stop the thread that made them, right after the store. One thread
/// only may use a tracer.
@safe package final class Tracer {
  package enum Verdict { case go, hold }

  /// Told of a thread that has stored to watched words (places in
  /// `process.watches`); it is stopped meanwhile.
  package var onHit: (TracedThread, [Int]) -> Verdict = { _, _ in .go }
  /// Told of the end of a process, with its wait(2) status.
  package var onEnd: (TracedProcess, Int32) -> Void = { _, _ in }
  /// Told when a process has mapped the segment, before its words are watched.
  package var onMapped: (TracedProcess) -> Void = { _ in }
  /// Told of the end of a child of this process that is not traced any more.
  package var onChildEnd: (Int32, Int32) -> Void = { _, _ in }
  package var onWakeDropped: (TracedProcess) -> Void = { _ in }
  /// Readable when something has stopped.
  package let descriptor: Int32
  package private(set) var processes: [Int32: TracedProcess] = [:]

  private let segment: String
  private let watches: (ProcessRole) -> [WordWatch]?
  private let isWanted: (ProcessRole) -> Bool
  private var threads: [Int32: TracedThread] = [:]
  private var isDetaching = false
  private var stepped: (thread: Int32, kind: Int32)?

  /// - Parameters:
  ///   - watches: at most four words for a process of that role; nil when they
  ///     cannot be told yet.
  ///   - isWanted: whether to go on tracing a process of that role.
  package init(
    segment: String, watches: @escaping (ProcessRole) -> [WordWatch]?,
    isWanted: @escaping (ProcessRole) -> Bool
  ) {
    self.segment = segment
    self.watches = watches
    self.isWanted = isWanted
    descriptor = pto2_child_descriptor()
  }

  deinit { close(descriptor) }

  // MARK: Whom

  /// Traces a process that runs, and with `children` those it starts later.
  package func attach(_ pid: Int32, _ role: ProcessRole, children: Bool) throws(SystemError) {
    let process = TracedProcess(id: pid)
    process.role = role
    processes[pid] = process
    // Threads may be made meanwhile, until all there are have been seized.
    var isComplete = false
    while !isComplete {
      isComplete = true
      for id in threadIDs(of: pid) where process.threads[id] == nil {
        let status = pto2_trace_seize(id, children ? 1 : 0)
        if status == -ESRCH { continue }
        // A new thread of a seized one is traced already.
        guard status == 0 || (status == -EPERM && !process.threads.isEmpty) else {
          processes[pid] = nil
          throw SystemError("ptrace", "\(role) (process \(pid))", errno: -status)
        }
        _ = add(id, to: process)
        isComplete = false
      }
    }
    _ = findSegment(process)
    for id in process.threads.keys { _ = pto2_trace_interrupt(id) }
  }

  private func add(_ id: Int32, to process: TracedProcess) -> TracedThread {
    let thread = TracedThread(id: id, process: process)
    process.threads[id] = thread
    threads[id] = thread
    return thread
  }

  /// A thread that a traced one has made, of whichever process.
  private func adopt(_ id: Int32) -> TracedThread {
    let group = threadGroup(of: id) ?? id
    let process = processes[group] ?? TracedProcess(id: group)
    processes[group] = process
    return add(id, to: process)
  }

  // MARK: What happens

  /// Takes note of everything that has stopped, and lets it go on.
  package func drain() {
    pto2_drain_child_descriptor(descriptor)
    var stop = pto2_stop()
    while unsafe pto2_trace_wait(-1, &stop) == 1 { take(stop) }
  }

  private func take(_ stop: pto2_stop) {
    if stop.kind == PTO2_STOP_ENDED { return end(stop.thread, status: stop.value) }
    let thread = threads[stop.thread] ?? adopt(stop.thread)
    thread.isStopped = true
    thread.pendingSignal = stop.kind == PTO2_STOP_SIGNAL ? stop.value : 0
    if thread.isToLoop {
      thread.isToLoop = false
      _ = pto2_trace_loop(thread.id)
    }
    if let stepped, stepped.thread == thread.id, stop.kind != PTO2_STOP_CHILD {
      self.stepped?.kind = stop.kind
      return
    }
    if isDetaching { return detach(thread) }
    if stop.kind == PTO2_STOP_EXEC, !identify(thread.process) { return detach(thread) }
    if stop.kind == PTO2_STOP_SYSCALL { atSystemCall(thread) }
    arm(thread)
    if stop.kind == PTO2_STOP_TRAP {
      let hits = watchesHit(thread)
      if !hits.isEmpty, onHit(thread, hits) == .hold { thread.isHeld = true }
    }
    if stop.kind == PTO2_STOP_GROUP, !thread.isHeld, !thread.process.isHeld {
      thread.isStopped = false
      _ = pto2_trace_resume(thread.id, PTO2_TRACE_LISTEN, 0)
    } else {
      resume(thread)
    }
  }

  private func end(_ id: Int32, status: Int32) {
    if stepped?.thread == id { stepped?.kind = PTO2_STOP_ENDED }
    guard let thread = threads.removeValue(forKey: id) else { return onChildEnd(id, status) }
    let process = thread.process
    process.threads[id] = nil
    guard id == process.id else { return }
    processes[id] = nil
    for other in process.threads.keys { threads[other] = nil }
    onEnd(process, status)
  }

  private func resume(_ thread: TracedThread) {
    guard thread.isStopped, !thread.isHeld, !thread.process.isHeld else { return }
    let process = thread.process
    let how =
      (process.isSeeking && process.role != nil) || process.wakesToDrop > 0 || thread.isSkipping
      ? PTO2_TRACE_SYSCALLS : PTO2_TRACE_CONTINUE
    thread.isStopped = false
    _ = pto2_trace_resume(thread.id, how, thread.pendingSignal)
    thread.pendingSignal = 0
  }

  /// After exec: what has been started. False when it does not matter.
  private func identify(_ process: TracedProcess) -> Bool {
    process.base = nil
    process.isSeeking = true
    if process.role == .orchestrator { return true }
    let command = commandLine(of: process.id)
    guard let path = command.first, let launch = SupervisedLaunch(Array(command.dropFirst())),
      launch.segment == segment
    else { return false }
    let name = path[(path.lastIndex(of: "/").map { path.index(after: $0) } ?? path.startIndex)...]
    let role: ProcessRole
    switch (name, launch.core.flatMap(coreIndex(named:))) {
    case ("pto2-scheduler", nil): role = .scheduler
    case ("pto2-worker", .some(let core)): role = .worker(core)
    default: return false
    }
    guard isWanted(role) else { return false }
    process.role = role
    return true
  }

  private func atSystemCall(_ thread: TracedThread) {
    var call = pto2_system_call()
    guard unsafe pto2_trace_system_call(thread.id, &call) == 0 else { return }
    let process = thread.process
    if call.is_entry != 0 {
      thread.call = call.number
      if process.wakesToDrop > 0, unsafe pto2_call_is_futex_wake(&call) != 0,
        pto2_trace_skip_call(thread.id) == 0
      {
        thread.isSkipping = true
        process.wakesToDrop -= 1
        onWakeDropped(process)
      }
      return
    }
    if thread.isSkipping {
      thread.isSkipping = false
      _ = pto2_trace_set_result(thread.id, 0)
    }
    let mayBeThere = process.base != nil || thread.call == pto2_call_mmap()
    if process.isSeeking, mayBeThere, findSegment(process) {
      for other in process.threads.values where !other.isStopped {
        _ = pto2_trace_interrupt(other.id)
      }
    }
  }

  // MARK: Watched words

  /// True when it is there, and what to watch is known, for the first time.
  private func findSegment(_ process: TracedProcess) -> Bool {
    if process.base == nil {
      process.base = mappedAddress(of: segment, in: process.id)
    }
    guard process.base != nil, let role = process.role, let words = watches(role) else {
      return false
    }
    process.watches = words
    process.isSeeking = false
    onMapped(process)
    return true
  }

  private func arm(_ thread: TracedThread) {
    guard let base = thread.process.base, !thread.process.isSeeking, !thread.isArmed else { return }
    thread.isArmed = setWatches(thread, thread.process.watches, base: base)
  }

  @discardableResult
  private func setWatches(_ thread: TracedThread, _ watches: [WordWatch], base: UInt64) -> Bool {
    var addresses = [UInt64](repeating: 0, count: WordWatch.maximum)
    var bytes = [UInt32](repeating: 0, count: WordWatch.maximum)
    for (place, watch) in watches.prefix(WordWatch.maximum).enumerated() {
      addresses[place] = base + watch.offset
      bytes[place] = watch.bytes
    }
    let status = unsafe pto2_trace_watch(thread.id, addresses, bytes)
    if status == -ENOTSUP { writeError("pto2: protocol points need the debug registers of x86-64") }
    return status == 0
  }

  private func watchesHit(_ thread: TracedThread) -> [Int] {
    let bits = pto2_trace_hits(thread.id)
    guard bits > 0 else { return [] }
    return thread.process.watches.indices.filter { bits & (1 << Int32($0)) != 0 }
  }

  // MARK: Holding

  /// Stops every thread of the process, until `release`.
  package func hold(_ process: TracedProcess) {
    process.isHeld = true
    for thread in process.threads.values where !thread.isStopped {
      _ = pto2_trace_interrupt(thread.id)
    }
  }

  package func release(_ process: TracedProcess) {
    process.isHeld = false
    for thread in process.threads.values {
      thread.isHeld = false
      resume(thread)
    }
  }

  /// Leaves out the next `count` futex wakes of the process.
  package func dropWakes(_ process: TracedProcess, count: Int) {
    process.wakesToDrop += count
    for thread in process.threads.values where !thread.isStopped {
      _ = pto2_trace_interrupt(thread.id)
    }
  }

  /// From now on no thread of the process gets further: each jumps to where it is.
  package func loop(_ process: TracedProcess) {
    for thread in process.threads.values {
      if thread.isStopped {
        _ = pto2_trace_loop(thread.id)
      } else {
        thread.isToLoop = true
        _ = pto2_trace_interrupt(thread.id)
      }
    }
  }

  // MARK: Steps

  package enum Step: Equatable {
    case done
    /// Done, and it stored to these watched words.
    case hit([Int])
    case ended
    case late
  }

  /// One instruction of a thread that is held. Others run meanwhile.
  package func step(_ thread: TracedThread, deadline: Deadline) -> Step {
    var rounds = 0
    stepped = (thread.id, -1)
    defer { stepped = nil }
    thread.isStopped = false
    let signal = thread.pendingSignal
    thread.pendingSignal = 0
    guard pto2_trace_resume(thread.id, PTO2_TRACE_STEP, signal) == 0 else { return .ended }
    while true {
      var stop = pto2_stop()
      if unsafe pto2_trace_wait(rounds < 100 ? thread.id : -1, &stop) == 1 {
        take(stop)
        switch stepped!.kind {
        case -1: continue
        case PTO2_STOP_ENDED: return .ended
        case PTO2_STOP_TRAP:
          let hits = watchesHit(thread)
          return hits.isEmpty ? .done : .hit(hits)
        default:
          // A signal, or a pause of its own: the instruction is still to come.
          stepped = (thread.id, -1)
          thread.isStopped = false
          let signal = thread.pendingSignal
          thread.pendingSignal = 0
          guard pto2_trace_resume(thread.id, PTO2_TRACE_STEP, signal) == 0 else { return .ended }
        }
        continue
      }
      rounds += 1
      if rounds > 100 {
        if deadline.hasPassed { return .late }
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        _ = unsafe poll(&entry, 1, 10)
        pto2_drain_child_descriptor(descriptor)
      }
    }
  }

  // MARK: The end

  private func detach(_ thread: TracedThread) {
    if thread.isArmed, let base = thread.process.base { setWatches(thread, [], base: base) }
    if thread.isSkipping { _ = pto2_trace_set_result(thread.id, 0) }
    _ = pto2_trace_detach(thread.id, thread.pendingSignal)
    threads[thread.id] = nil
    thread.process.threads[thread.id] = nil
    if thread.process.threads.isEmpty { processes[thread.process.id] = nil }
  }

  /// Lets every process go, as if it had never been traced.
  package func detachAll(deadline: Deadline) {
    isDetaching = true
    for thread in Array(threads.values) {
      if thread.isStopped {
        detach(thread)
      } else {
        _ = pto2_trace_interrupt(thread.id)
      }
    }
    while !threads.isEmpty, !deadline.hasPassed {
      var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      _ = unsafe poll(&entry, 1, 5)
      drain()
    }
  }
}

// MARK: /proc

private func threadIDs(of pid: Int32) -> [Int32] { numbers(in: "/proc/\(pid)/task") }

private func threadGroup(of thread: Int32) -> Int32? {
  guard let status = readWholeFile("/proc/\(thread)/status") else { return nil }
  for line in status.split(separator: "\n") where line.hasPrefix("Tgid:") {
    return Int32(line.dropFirst(5).drop { $0 == "\t" || $0 == " " })
  }
  return nil
}

/// Where the segment's first byte is mapped in a process: found by inode, for a
/// memfd has no name.
private func mappedAddress(of segment: String, in pid: Int32) -> UInt64? {
  var object = stat()
  let path = SharedMemoryObject.isPath(segment) ? segment : "/dev/shm/" + segment
  guard unsafe stat(path, &object) == 0, let text = readWholeFile("/proc/\(pid)/maps") else {
    return nil
  }
  // As makedev(3) puts them together.
  let number = UInt64(object.st_dev)
  let major = UInt32(truncatingIfNeeded: number >> 8 & 0xFFF | number >> 32 & ~0xFFF)
  let minor = UInt32(truncatingIfNeeded: number & 0xFF | number >> 12 & ~0xFF)
  for line in text.split(separator: "\n") {
    // address, rights, offset, device (major:minor), inode, path
    let fields = line.split(separator: " ", omittingEmptySubsequences: true)
    guard fields.count >= 5, UInt64(fields[4]) == UInt64(object.st_ino),
      UInt64(fields[2], radix: 16) == 0
    else { continue }
    let device = fields[3].split(separator: ":").compactMap { UInt32($0, radix: 16) }
    guard device == [major, minor] else { continue }
    return UInt64(fields[0].prefix { $0 != "-" }, radix: 16)
  }
  return nil
}
