import PTO2Sight
import Testing

/// What `pto2 doctor` says of machines that are not this one.
@Suite struct MachineTests {
  private func state(_ name: String, _ change: (inout Machine) -> Void) -> Check.State? {
    var machine = Machine()
    change(&machine)
    let check = machine.checks(clusters: 4).first { $0.name == name }
    if let check, check.state != .ok { #expect(check.remedy != nil, "\(name) has no remedy") }
    return check?.state
  }

  @Test func machineAsItShouldBeIsOK() {
    #expect(Machine().checks(clusters: 4).allSatisfy { $0.state == .ok && $0.remedy == nil })
  }

  @Test func whatIsLackingIsSaid() {
    #expect(state("/dev/shm") { $0.sharedMemory = nil } == .bad)
    #expect(state("/dev/shm") { $0.sharedMemory?.isWritable = false } == .bad)
    #expect(state("/dev/shm") { $0.sharedMemory?.freeBytes = 64 << 20 } == .warn)
    #expect(state("/dev/shm") { $0.sharedMemory?.freeBytes = 1 << 20 } == .bad)
    #expect(state("/dev/shm") { $0.sharedMemory?.isMemory = false } == .warn)
    #expect(state("open files") { $0.limits.files = 20 } == .warn)
    #expect(state("open files") { $0.limits.files = 8 } == .bad)
    #expect(state("size of a file") { $0.limits.fileBytes = 1 << 20 } == .bad)
    #expect(state("addresses") { $0.limits.addresses = 1 << 30 } == .bad)
    #expect(state("processes") { $0.limits.processes = 10 } == .bad)
    #expect(state("processes") { $0.group.processes = 10 } == .bad)
    #expect(state("CPUs") { $0.group.cpus = 0.5 } == .warn)
    #expect(state("memory limit") { $0.group.memoryBytes = 1 << 20 } == .warn)
    #expect(state("memory limit") { $0.group.memoryBytes = 1 << 32 } == .ok)
    #expect(state("futex_waitv") { $0.hasFutexWaitv = false } == .warn)
    #expect(state("pidfd_open") { $0.hasPidfd = false } == .warn)
    #expect(state("/proc") { $0.hasProc = false } == .warn)
    #expect(state("ptrace") { $0.ptraceScope = 1 } == .ok)
    #expect(state("ptrace") { $0.ptraceScope = 3 } == .warn)
    #expect(
      state("namespaces") {
        $0.pidNamespace = "pid:[2]"
        $0.firstPidNamespace = "pid:[1]"
      } == .warn)
    #expect(state("core_pattern") { $0.corePattern = "|/usr/lib/handler" } == .warn)
    #expect(state("executables") { $0.missingExecutables = ["pto2-worker"] } == .bad)
  }

  /// This one has at least what these tests run on.
  @Test func thisMachineCanBeRead() {
    let machine = Machine.current { _ in true }
    #expect(machine.cpus > 0 && machine.sharedMemory != nil && machine.hasProc)
  }
}
