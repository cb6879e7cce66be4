internal import CBenchRaw
internal import CPTO2Linux
internal import Glibc
internal import Harness
internal import PTO2System

/// How far apart the two CPUs are, by a raw ping-pong before and after a run.
enum Placement: String, CaseIterable {
  case near, far
  /// It changed meanwhile.
  case mixed

  private static let limit = 0.25

  init(before: Double, after: Double) {
    switch (before < Self.limit, after < Self.limit) {
    case (true, true): self = .near
    case (false, false): self = .far
    default: self = .mixed
    }
  }
}

func pingPong(_ plan: Plan) -> Double { bench_ping_pong(plan.isQuick ? 500 : 10_000, 2) }

/// What was used up until a point in time.
struct Usage {
  /// CPU seconds of all processes, and what the hypervisor gave to others.
  var all = 0.0
  /// Of this process, and of those below it that have ended.
  var own = 0.0
  var contextSwitches = 0
  let time = MonotonicClock.now()

  static func now() -> Usage {
    var usage = Usage()
    // user nice system idle iowait irq softirq steal
    let line = readWholeFile("/proc/stat")?.split(separator: "\n").first ?? ""
    let ticks = line.split(separator: " ").dropFirst().prefix(8).compactMap { Double($0) }
    if ticks.count == 8 {
      let busy = ticks.reduce(0, +) - ticks[3] - ticks[4]
      usage.all = busy / Double(sysconf(Int32(_SC_CLK_TCK)))
    }
    for who in [RUSAGE_SELF, RUSAGE_CHILDREN] {
      var record = rusage()
      _ = unsafe getrusage(who.rawValue, &record)
      usage.own += seconds(record.ru_utime) + seconds(record.ru_stime)
      usage.contextSwitches += record.ru_nvcsw + record.ru_nivcsw
    }
    return usage
  }

  private static func seconds(_ time: timeval) -> Double {
    Double(time.tv_sec) + Double(time.tv_usec) / 1e6
  }
}

extension Command {
  /// Sleeps until the process has ended, so that nothing runs beside it.
  func waitAsleep(seconds: Int) -> Result {
    let descriptor = pto2_pidfd_open(pid)
    if descriptor >= 0 {
      var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      _ = unsafe Glibc.poll(&entry, 1, Int32(seconds) * 1000)
      close(descriptor)
    }
    return wait(seconds: descriptor >= 0 ? 1 : seconds)
  }
}

/// The middle one; of an even number, the mean of the two in the middle.
func median(_ values: [Double]) -> Double {
  let sorted = values.sorted()
  let middle = sorted.count / 2
  if sorted.isEmpty { return .nan }
  return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}
