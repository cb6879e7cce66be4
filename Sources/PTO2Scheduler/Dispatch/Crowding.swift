internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2System

/// Whether there are more cores of a kind than CPUs, and their kernels compute or are short.
///
/// Then more cores than CPUs gain nothing, and cost a switch between processes for each
/// dependency between two that share a CPU. As many cores as there are CPUs are favoured:
/// they get what they have room for, the others what needs a core of its own. Kernels
/// that sleep most of their time are served by all cores.
///
/// A kernel computes if its worker wanted a CPU while it ran: it had one, or waited for one.
/// Preempted kernels take long, too, but not without wanting to run. Of short kernels it does
/// not matter: to wake a core that sleeps takes longer than the kernels that wait at one
/// that is awake.
struct Crowding {
  /// What a core has counted, as last seen.
  private struct Seen {
    var kernels: UInt64 = 0
    var timed: UInt64 = 0
    var nanoseconds: UInt64 = 0
    var runnable: UInt64 = 0
  }

  /// Since the last decision, of all cores of a kind; times in nanoseconds.
  private struct Sum {
    var count: UInt64 = 0
    var kernels: UInt64 = 0
    var runnable: UInt64 = 0

    static func += (sum: inout Self, other: Self) {
      sum.count &+= other.count
      sum.kernels &+= other.kernels
      sum.runnable &+= other.runnable
    }
  }

  /// Less than this of kernels decides nothing.
  private static let leastNanoseconds: UInt64 = 5_000_000
  /// Nor do fewer short ones.
  private static let leastCount: UInt64 = 1000
  /// Shorter on average: about what it takes to wake a core.
  private static let shortNanoseconds: UInt64 = 5000

  private var seen: [Seen] = []
  private var sums: (matrix: Sum, vector: Sum) = (Sum(), Sum())
  private var nextLook: UInt64 = 0
  /// There has been an answer, or nothing to ask.
  private var isSettled = false

  /// It is time to look, and then not for a while: a look takes a few microseconds a core. Until
  /// something is known that while is short, for the graph may be over soon.
  mutating func isDue(_ now: UInt64, cores: Int) -> Bool {
    guard now >= nextLook else { return false }
    nextLook = now &+ UInt64(max(10, cores)) * (isSettled ? 2_000_000 : 200_000)
    return true
  }

  /// There is nothing to ask.
  mutating func noteSettled() { isSettled = true }

  /// - Parameters:
  ///   - counters: of the core's page.
  ///   - runnable: of its worker; see `ProcessIdentity.runnableNanoseconds`.
  mutating func add(_ core: Int, _ counters: pto2_core_counters, runnable: UInt64) {
    while seen.count <= core { seen.append(Seen()) }
    let last = seen[core]
    guard counters.isPlausible else { return }
    seen[core] = Seen(
      kernels: counters.kernels, timed: counters.timed_kernels,
      nanoseconds: counters.timed_nanoseconds, runnable: runnable)
    // Another worker counts anew.
    guard counters.kernels >= last.kernels, counters.timed_kernels >= last.timed,
      counters.timed_nanoseconds >= last.nanoseconds, runnable >= last.runnable
    else { return }
    var sum = Sum(runnable: runnable - last.runnable)
    let timed = counters.timed_kernels - last.timed
    if timed > 0 {
      let mean = (counters.timed_nanoseconds - last.nanoseconds) / timed
      sum.count = counters.kernels - last.kernels
      sum.kernels = mean.multipliedReportingOverflow(by: sum.count).partialValue
    }
    if CoreID(core).subtask == 0 {
      sums.matrix += sum
    } else {
      sums.vector += sum
    }
  }

  /// Whether kernels compute, or are short; nil while too little is known. Begins anew after an
  /// answer.
  mutating func isComputing(matrix: Bool) -> Bool? {
    let sum = matrix ? sums.matrix : sums.vector
    let areShort = sum.count >= Self.leastCount && sum.kernels / sum.count < Self.shortNanoseconds
    guard areShort || sum.kernels >= Self.leastNanoseconds else { return nil }
    isSettled = true
    if matrix { sums.matrix = Sum() } else { sums.vector = Sum() }
    return areShort || sum.runnable >= sum.kernels / 2
  }
}

extension SchedulerThread {
  /// The only thread, now and then: which cores are favoured.
  package mutating func updateFavoured(_ now: UInt64) {
    guard !S.isShared, lookahead.crowding.isDue(now, cores: cores.count) else { return }
    let cpus = CPUSet.allowed().count
    favour(matrix: true, cpus: cpus)
    favour(matrix: false, cpus: cpus)
  }

  private mutating func favour(matrix: Bool, cpus: Int) {
    let present = dispatcher.ofOnlyThread.table.present.ofKind(matrix: matrix)
    // One worker that hosts many cores is one process to Linux.
    guard cpus > 0, present.count > cpus, hasOneWorkerPerCore else {
      if hasAllCores { lookahead.crowding.noteSettled() }
      return dispatcher.ofOnlyThread.table.favourAll(matrix: matrix)
    }
    for index in 0..<cores.count where present.contains(CoreID(index)) {
      guard let runnable = cores[index].host?.identity.runnableNanoseconds() else {
        lookahead.crowding.noteSettled()
        return dispatcher.ofOnlyThread.table.favourAll(matrix: matrix)
      }
      lookahead.crowding.add(index, cores[index].page.counters, runnable: runnable)
    }
    switch lookahead.crowding.isComputing(matrix: matrix) {
    case true?: dispatcher.ofOnlyThread.table.favour(present.first(cpus), matrix: matrix)
    case false?: dispatcher.ofOnlyThread.table.favourAll(matrix: matrix)
    case nil: break
    }
  }

  private var hasOneWorkerPerCore: Bool {
    var pids = Set<Int32>()
    for index in 0..<cores.count where cores[index].incarnation.value != 0 {
      guard let host = cores[index].host, pids.insert(host.identity.pid).inserted else {
        return false
      }
    }
    return true
  }

  /// The core has work, or would get what comes next.
  @inline(__always)
  func isInUse(_ index: Int) -> Bool {
    cores[index].position.value != 0
      && (S.isShared || outstanding(index) > 0
        || dispatcher.ofOnlyThread.table.favoured.contains(CoreID(index)))
  }
}
