internal import CPTO2Linux
internal import Glibc
internal import PTO2System

extension Machine {
  /// This machine, as this process sees it.
  /// - Parameter hasExecutable: true when an executable of this name is found.
  package static func current(hasExecutable: (String) -> Bool) -> Machine {
    var machine = Machine()
    machine.sharedMemory = readSharedMemory()
    machine.limits.files = pto2_limit(Int32(PTO2_LIMIT_FILES))
    machine.limits.fileBytes = pto2_limit(Int32(PTO2_LIMIT_FILE_BYTES))
    machine.limits.addresses = pto2_limit(Int32(PTO2_LIMIT_ADDRESSES))
    machine.limits.processes = pto2_limit(Int32(PTO2_LIMIT_PROCESSES))
    let allowed = CPUSet.allowed()
    machine.cpus = (0..<CPUSet.capacity).count { allowed.contains($0) }
    machine.group = readGroup()
    machine.hasFutexWaitv = canWaitForSeveral()
    let descriptor = pto2_pidfd_open(getpid())
    machine.hasPidfd = descriptor >= 0
    if descriptor >= 0 { close(descriptor) }
    machine.hasProc = readWholeFile("/proc/self/stat") != nil
    machine.ptraceScope = readWholeFile("/proc/sys/kernel/yama/ptrace_scope")
      .flatMap { Int($0.prefix { $0.isNumber }) }
    machine.corePattern = readWholeFile("/proc/sys/kernel/core_pattern")
      .map { String($0.prefix { $0 != "\n" }) }
    machine.pidNamespace = link("/proc/self/ns/pid")
    machine.firstPidNamespace = link("/proc/1/ns/pid")
    machine.missingExecutables = ["pto2-scheduler", "pto2-worker"].filter { !hasExecutable($0) }
    return machine
  }

  private static func readSharedMemory() -> SharedMemory? {
    var status = statvfs()
    guard unsafe statvfs("/dev/shm", &status) == 0 else { return nil }
    var memory = SharedMemory()
    let mounts = readWholeFile("/proc/self/mounts") ?? ""
    memory.isMemory =
      mounts.isEmpty
      || mounts.split(separator: "\n").contains {
        let fields = $0.split(separator: " ")
        return fields.count > 2 && fields[1] == "/dev/shm" && fields[2] == "tmpfs"
      }
    memory.isWritable = unsafe access("/dev/shm", W_OK) == 0
    memory.totalBytes = UInt64(status.f_blocks) &* UInt64(status.f_frsize)
    memory.freeBytes = UInt64(status.f_bavail) &* UInt64(status.f_frsize)
    return memory
  }

  /// A word that is not as expected ends the wait at once, where there is such a wait.
  private static func canWaitForSeveral() -> Bool {
    var word: UInt32 = 1
    var expected: UInt32 = 0
    let status = unsafe withUnsafePointer(to: &word) { address in
      var list: UnsafePointer<UInt32>? = unsafe address
      return unsafe pto2_futex_waitv(&list, &expected, 1, 0)
    }
    return status != -ENOSYS && status != -EPERM
  }

  private static func link(_ path: String) -> String? {
    var buffer = [UInt8](repeating: 0, count: 256)
    let length = unsafe buffer.withUnsafeMutableBytes {
      unsafe readlink(path, $0.baseAddress!, $0.count)
    }
    return length > 0 ? printable(String(decoding: buffer[..<length], as: UTF8.self)) : nil
  }

  /// Of the control group that this process is in, version 2; of version 1 the mounted roots.
  private static func readGroup() -> Group {
    let own =
      (readWholeFile("/proc/self/cgroup") ?? "").split(separator: "\n")
      .first { $0.hasPrefix("0::") }.map { String($0.dropFirst(3)) } ?? "/"
    func value(_ names: String...) -> String? {
      let folders = ["/sys/fs/cgroup" + own + "/", "/sys/fs/cgroup/"]
      for name in names {
        for folder in folders {
          if let text = readWholeFile(folder + name) { return String(text.prefix { $0 != "\n" }) }
        }
      }
      return nil
    }
    var group = Group()
    if let parts = value("cpu.max")?.split(separator: " "), parts.count == 2,
      let quota = Double(parts[0]), let period = Double(parts[1]), period > 0
    {
      group.cpus = quota / period
    } else if let quota = value("cpu/cpu.cfs_quota_us").flatMap(Double.init), quota > 0,
      let period = value("cpu/cpu.cfs_period_us").flatMap(Double.init), period > 0
    {
      group.cpus = quota / period
    }
    // Without a limit version 1 says a number beyond any memory.
    group.memoryBytes = value("memory.max", "memory/memory.limit_in_bytes").flatMap(UInt64.init)
      .flatMap { $0 < 1 << 60 ? $0 : nil }
    group.processes = value("pids.max", "pids/pids.max").flatMap(UInt64.init)
    return group
  }
}
