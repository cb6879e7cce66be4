package import PTO2System

/// One thing of the surroundings that sessions need.
package struct Check: Equatable, Sendable {
  package enum State: String, Sendable {
    /// As it should be.
    case ok
    /// Sessions run, with less speed or fewer means.
    case warn
    /// Something will not work.
    case bad
  }

  package var name: String
  package var state: State
  package var finding: String
  /// What to do; nil when there is nothing.
  package var remedy: String?

  package init(_ name: String, _ state: State, _ finding: String, remedy: String? = nil) {
    self.name = name
    self.state = state
    self.finding = finding
    self.remedy = state == .ok ? nil : remedy
  }

  package var json: JSONObject {
    var object = JSONObject()
    object.add("check", name)
    object.add("state", state.rawValue)
    object.add("finding", finding)
    if let remedy { object.add("remedy", remedy) }
    return object
  }
}

/// Facts of the machine, as they were read: nil is what could not be found out.
package struct Machine: Equatable, Sendable {
  package struct SharedMemory: Equatable, Sendable {
    package var isMemory = true
    package var isWritable = true
    package var totalBytes: UInt64 = 8 << 30
    package var freeBytes: UInt64 = 8 << 30
    package init() {}
  }

  package struct Limits: Equatable, Sendable {
    /// All ones: none.
    package var files = UInt64.max
    package var fileBytes = UInt64.max
    package var addresses = UInt64.max
    package var processes = UInt64.max
    package init() {}
  }

  package struct Group: Equatable, Sendable {
    /// Of cpu.max: CPUs.
    package var cpus: Double?
    package var memoryBytes: UInt64?
    package var processes: UInt64?
    package init() {}
  }

  /// Nil: there is no /dev/shm.
  package var sharedMemory: SharedMemory? = SharedMemory()
  package var limits = Limits()
  package var cpus = 4
  package var group = Group()
  package var hasFutexWaitv = true
  package var hasPidfd = true
  package var hasProc = true
  package var ptraceScope: Int?
  package var corePattern: String?
  /// Of this process and of process 1, where that can be seen.
  package var pidNamespace: String?
  package var firstPidNamespace: String?
  /// Executables of the runtime that are not found.
  package var missingExecutables: [String] = []
  package init() {}

  /// All checks, for a session with so many clusters of the default sizes.
  package func checks(clusters: Int) -> [Check] {
    let cores = 3 * clusters
    return [
      sharedMemoryCheck(cores), filesCheck(cores), fileBytesCheck, addressesCheck,
      processesCheck(cores), cpuCheck(cores), memoryCheck, futexCheck, pidfdCheck, procCheck,
      ptraceCheck, namespaceCheck, coreCheck, executablesCheck,
    ]
  }

  // MARK: Checks

  private func sharedMemoryCheck(_ cores: Int) -> Check {
    let name = "/dev/shm"
    guard let memory = sharedMemory else {
      return Check(
        name, .bad, "is not there",
        remedy: "mount -t tmpfs -o mode=1777 tmpfs /dev/shm; or run with --memfd")
    }
    guard memory.isWritable else {
      return Check(
        name, .bad, "cannot be written to", remedy: "mount it read-write, or run with --memfd")
    }
    let text = "\(bytes(memory.freeBytes)) of \(bytes(memory.totalBytes)) are free"
    if memory.freeBytes < 4 << 20 {
      return Check(
        name, .bad, text,
        remedy:
          "`pto2 reap` removes dead segments; mount -o remount,size=8G /dev/shm; in a container, --shm-size"
      )
    }
    if memory.freeBytes < 256 << 20 {
      return Check(
        name, .warn, text + ": a run with large tensors ends with error 208",
        remedy: "mount -o remount,size=8G /dev/shm; in a container, --shm-size")
    }
    return Check(
      name, memory.isMemory ? .ok : .warn, memory.isMemory ? text : text + ", and it is no tmpfs",
      remedy: "mount -t tmpfs -o mode=1777 tmpfs /dev/shm")
  }

  private func filesCheck(_ cores: Int) -> Check {
    let needed = UInt64(32 + 2 * cores)
    let text = limits.files == .max ? "no limit" : "\(limits.files)"
    if limits.files >= needed { return Check("open files", .ok, text) }
    return Check(
      "open files", limits.files < 16 ? .bad : .warn,
      text + ", and \(cores) cores want \(needed): processes are watched without pidfd",
      remedy: "ulimit -n 1024")
  }

  private var fileBytesCheck: Check {
    let isOK = limits.fileBytes >= 16 << 30
    return Check(
      "size of a file", isOK ? .ok : .bad,
      limits.fileBytes == .max
        ? "no limit"
        : bytes(limits.fileBytes)
          + (isOK ? "" : ", and a segment of the default sizes has over 5G"),
      remedy: "ulimit -f unlimited, or a smaller --arena and --heap")
  }

  private var addressesCheck: Check {
    let isOK = limits.addresses >= 16 << 30
    return Check(
      "addresses", isOK ? .ok : .bad,
      limits.addresses == .max
        ? "no limit"
        : bytes(limits.addresses)
          + (isOK ? "" : ", and a segment of the default sizes has over 5G"),
      remedy: "ulimit -v unlimited, or a smaller --arena and --heap")
  }

  private func processesCheck(_ cores: Int) -> Check {
    let limit = min(limits.processes, group.processes ?? .max)
    let needed = UInt64(cores + 8)
    let text = limit == .max ? "no limit" : "\(limit)"
    return Check(
      "processes", limit >= needed ? .ok : .bad,
      limit >= needed ? text : text + ", and \(cores) cores want \(needed)",
      remedy: "ulimit -u, or pids.max of the container; or fewer --clusters")
  }

  private func cpuCheck(_ cores: Int) -> Check {
    let quota = group.cpus.map { ", and the container may use \(fixed($0, 1))" } ?? ""
    let usable = min(Double(cpus), group.cpus ?? Double(cpus))
    let isEnough = usable >= Double(min(cores, 2))
    return Check(
      "CPUs", isEnough ? .ok : .warn,
      "\(cpus) that this process may use\(quota)"
        + (isEnough ? "" : ": cores take turns on them"),
      remedy: "taskset, or cpu.max of the container; results do not depend on it")
  }

  private var memoryCheck: Check {
    guard let limit = group.memoryBytes else { return Check("memory limit", .ok, "none") }
    return Check(
      "memory limit", limit < 256 << 20 ? .warn : .ok, "\(bytes(limit)) (memory.max)",
      remedy: "a larger memory.max: beyond it the kernel kills a process of the session")
  }

  private var futexCheck: Check {
    Check(
      "futex_waitv", hasFutexWaitv ? .ok : .warn,
      hasFutexWaitv ? "there" : "refused: waits are sleeps of 200 us instead",
      remedy: "Linux 5.16 or later; in a container, a seccomp profile that allows it")
  }

  private var pidfdCheck: Check {
    Check(
      "pidfd_open", hasPidfd ? .ok : .warn,
      hasPidfd ? "there" : "refused: processes are watched by pid and start time",
      remedy: "Linux 5.3 or later; in a container, a seccomp profile that allows it")
  }

  private var procCheck: Check {
    Check(
      "/proc", hasProc ? .ok : .warn,
      hasProc ? "there" : "not there: a stopped process is not noticed, and tools see no states",
      remedy: "mount -t proc proc /proc")
  }

  private var ptraceCheck: Check {
    switch ptraceScope {
    case nil, 0: Check("ptrace", .ok, "allowed")
    case 1: Check("ptrace", .ok, "allowed for children (Yama 1): --faults works")
    case 2:
      Check(
        "ptrace", .warn, "for administrators alone (Yama 2): --faults works as root",
        remedy: "sysctl kernel.yama.ptrace_scope=1")
    default:
      Check(
        "ptrace", .warn, "forbidden (Yama 3): --faults does not work",
        remedy: "sysctl kernel.yama.ptrace_scope=1, after a restart of the machine")
    }
  }

  private var namespaceCheck: Check {
    let isOwn =
      pidNamespace != nil && firstPidNamespace != nil && pidNamespace != firstPidNamespace
    return Check(
      "namespaces", isOwn ? .warn : .ok,
      isOwn
        ? "this process is not in the PID namespace of process 1"
        : pidNamespace.map { "PID namespace \($0)" } ?? "not known",
      remedy: "start all processes of a session in one container")
  }

  private var coreCheck: Check {
    let isPipe = corePattern?.hasPrefix("|") ?? false
    return Check(
      "core_pattern", isPipe ? .warn : .ok,
      isPipe
        ? "a program gets each core dump: a worker that crashes is replaced only after that"
        : corePattern.map { "\"\(printable($0))\"" } ?? "not known",
      remedy: "ulimit -c 0 before the run, or a plain kernel.core_pattern")
  }

  private var executablesCheck: Check {
    Check(
      "executables", missingExecutables.isEmpty ? .ok : .bad,
      missingExecutables.isEmpty
        ? "pto2-scheduler and pto2-worker are found"
        : "\(missingExecutables.joined(separator: " and ")) not found",
      remedy: "set PTO2_BIN_DIR to the folder that has them")
  }
}
