import Glibc
import Harness
import PTO2Segment
import PTO2System

/// Programs on several ranks under mpirun(1), of which each loses one process, killed at a random
/// time: a worker or a scheduler costs nothing, the others end all ranks.
struct RankKills {
  enum Role: String, CaseIterable {
    case program = "pto2-random"
    case link = "pto2-link"
    case scheduler = "pto2-scheduler"
    case worker = "pto2-worker"

    /// What the session has with it.
    var isSurvived: Bool { self == .scheduler || self == .worker }
  }

  /// Kills of a role of a rank, and what became of the sessions.
  struct Row {
    var role: Role
    var rank: Int
    var kills = 0
    /// Sessions by their exit status.
    var statuses: [Int32: Int] = [:]
    /// Sessions by the number of their messages.
    var messages: [Int: Int] = [:]
    /// Seconds from the kill to the end of mpirun.
    var longest = 0.0
    /// Sessions after which mpirun alone was left, and did not end.
    var stuck = 0
    /// The orchestrator died before anybody was there to remove the name.
    var swept = 0
    var leftovers = 0
  }

  let ranks: Int
  private(set) var sessions = 0
  private(set) var violations = 0
  /// A scheduler was there when the program was killed: it removes the name.
  private var hadScheduler = false
  private(set) var rows: [Row]
  private var random: SplitMix64
  var kills: Int { rows.reduce(0) { $0 + $1.kills } }

  /// Longer than anything takes, even with many more processes than CPUs.
  private static let limitSeconds = 120
  private static let leavingSeconds = 10

  init(ranks: Int, seed: UInt64) {
    self.ranks = ranks
    random = SplitMix64(seed: seed)
    rows = Role.allCases.flatMap { role in (0..<ranks).map { Row(role: role, rank: $0) } }
  }

  /// A session, in which the row that has the fewest kills gets one more.
  mutating func runSession() -> (text: String, violation: String?) {
    sessions += 1
    let index = rows.indices.min { rows[$0].kills < rows[$1].kills }!
    let (role, rank) = (rows[index].role, rows[index].rank)
    let segment = "test-pto2-ranks-\(getpid())-\(sessions)"
    let first = Int.random(in: 1...1_000_000, using: &random)
    // One that the session has to survive is to come to an end, too.
    let last = first + (role.isSurvived ? 15 : 100_000)
    let command = Mpirun.start(
      ranks, "pto2-random",
      [
        "--seeds", "\(first)-\(last)", "--placed", "--quiet", "--recoverable", "--segment", segment,
      ],
      ["PTO2_PEER_TIMEOUT": "20"])
    // From a millisecond after it is there, evenly in orders of magnitude: also while it starts.
    let longest = role.isSurvived ? 500_000.0 : 1_500_000
    let delay = exp(Double.random(in: log(1000)...log(longest), using: &random))
    let isKilled = kill(role, rank, segment, command, after: UInt32(delay))
    let begin = MonotonicClock.now()
    let (status, isStuck) = end(command, segment)
    let seconds = Double(MonotonicClock.now() - begin) / 1e9
    let when = "\(Int(delay / 1000)) ms (session \(sessions))"
    let what = "\(role.rawValue) of rank \(rank) after \(when)"
    guard let status else {
      violations += 1
      for pid in processIDs(of: segment) { _ = Victim(pid, segment: segment)?.signal(SIGKILL) }
      return ("\(what): hangs", "\(what): hangs")
    }
    var left = leftovers(segment)
    let name = "\(segment).r\(rank)"
    if role == .program, !hadScheduler, left == [name] {
      // As after any such death: the next session, or `pto2 reap`, removes it.
      rows[index].swept += 1
      shm_unlink("/" + name)
      left = []
    }
    guard isKilled else { return ("\(what): over before", nil) }
    let result = command.wait()
    let messages = result.messages.filter { $0.hasPrefix("pto2-") && $0.contains(": error ") }
    rows[index].kills += 1
    if isStuck { rows[index].stuck += 1 } else { rows[index].statuses[status, default: 0] += 1 }
    rows[index].messages[messages.count, default: 0] += 1
    rows[index].longest = max(rows[index].longest, seconds)
    rows[index].leftovers += left.count
    let text =
      "\(what): status \(status) after \(fixed(seconds, 2)) s, \(messages.count) messages\(left.isEmpty ? "" : ", left: \(left)")\(messages.first.map { ": \($0)" } ?? "")"
    if isAsItShould(role, result, messages.count, isStuck) && left.isEmpty { return (text, nil) }
    violations += 1
    return (text, text + (messages.isEmpty ? "\n" + result.errors : ""))
  }

  /// Open MPI's mpirun may stand in the end of its own PMIx server for ever, with no rank left:
  /// then it is killed.
  private func end(_ command: Command, _ segment: String) -> (status: Int32?, isStuck: Bool) {
    let deadline = MonotonicClock.now() + UInt64(Self.limitSeconds) * 1_000_000_000
    var aloneSince: UInt64?
    while MonotonicClock.now() < deadline {
      if let status = command.end(within: 1) { return (status, false) }
      let isAlone =
        processIDs(of: segment).allSatisfy { $0 == command.pid }
        && (0..<ranks).allSatisfy { processIDs(of: "\(segment).r\($0)").isEmpty }
      if !isAlone { aloneSince = nil }
      if isAlone, aloneSince == nil { aloneSince = MonotonicClock.now() }
      if let aloneSince, MonotonicClock.now() - aloneSince > 20_000_000_000 {
        command.signal(SIGKILL)
        return (command.end(within: 10), true)
      }
    }
    return (nil, false)
  }

  private func isAsItShould(
    _ role: Role, _ result: Command.Result, _ messages: Int, _ isStuck: Bool
  ) -> Bool {
    if isStuck {
      return role.isSurvived
        ? messages == 0 && result.output.contains(" 0 failed")
        : messages == 1 || messages == 0 && role == .program
    }
    switch role {
    case .worker, .scheduler:
      return result.status == 0 && messages == 0 && result.output.contains(" 0 failed")
    // 213, and 211 where the rank was not known yet.
    case .link: return [51, 53].contains(result.status) && messages == 1
    // mpirun's own status. Its scheduler speaks for it, if mpirun still listens to that rank.
    case .program: return result.status == 137 && messages <= 1
    }
  }

  /// - Returns: false when the session was over before.
  private mutating func kill(
    _ role: Role, _ rank: Int, _ segment: String, _ command: Command, after delay: UInt32
  ) -> Bool {
    let deadline = MonotonicClock.now() + 30_000_000_000
    while victims(role, rank, segment, command).isEmpty {
      if command.poll() != nil || MonotonicClock.now() > deadline { return false }
      usleep(500)
    }
    usleep(delay)
    guard let pid = victims(role, rank, segment, command).randomElement(using: &random),
      let victim = Victim(pid, segment: role == .program ? segment : "\(segment).r\(rank)")
    else { return false }
    let view = try? SegmentReader.open(name: "\(segment).r\(rank)")
    hadScheduler = view?.isSchedulerAttached ?? false
    return victim.signal(SIGKILL)
  }

  private func victims(_ role: Role, _ rank: Int, _ segment: String, _ command: Command)
    -> [pid_t]
  {
    if role != .program { return processes("\(segment).r\(rank)", named: role.rawValue) }
    // All ranks have one command line, as have what they start until it is executed.
    let ranks = children(of: command.pid)
    return processes(segment, named: role.rawValue).filter { pid in
      guard ranks.contains(pid) else { return false }
      return readFile("/proc/\(pid)/environ").split(separator: "\0")
        .contains("OMPI_COMM_WORLD_RANK=\(rank)")
    }
  }

  /// What is still there a while after the end.
  private func leftovers(_ segment: String) -> [String] {
    let deadline = MonotonicClock.now() + UInt64(Self.leavingSeconds) * 1_000_000_000
    while true {
      var left = processIDs(of: segment).map { "process \($0)" }
      for rank in 0..<ranks {
        let leftover = Leftovers.of("\(segment).r\(rank)")
        left += leftover.segments + leftover.processes
      }
      if left.isEmpty || MonotonicClock.now() > deadline { return left }
      usleep(2000)
    }
  }

  // MARK: Output

  private func list<Key: Comparable>(_ counts: [Key: Int]) -> String {
    counts.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }.joined(separator: ", ")
  }

  var table: String {
    var table = TextTable([
      .init("killed"), .init("rank", .right), .init("kills", .right), .init("statuses"),
      .init("messages"), .init("longest, s", .right), .init("swept", .right),
      .init("stuck", .right), .init("left", .right),
    ])
    for row in rows {
      table.add([
        row.role.rawValue, "\(row.rank)", "\(row.kills)", list(row.statuses), list(row.messages),
        fixed(row.longest, 1), "\(row.swept)", "\(row.stuck)", "\(row.leftovers)",
      ])
    }
    return table.text + "\(kills) kills in \(sessions) sessions, \(violations) violations\n"
  }

  func json(seed: UInt64) -> String {
    var document = JSONObject()
    document.add("seed", "\(seed)")
    document.add("ranks", ranks)
    document.add("kills", kills)
    document.add("sessions", sessions)
    document.add("violations", violations)
    document.add(
      "rows",
      rows.map { row in
        var object = JSONObject()
        object.add("role", row.role.rawValue)
        object.add("rank", row.rank)
        object.add("kills", row.kills)
        object.add("statuses", list(row.statuses))
        object.add("messages", list(row.messages))
        object.add("longest_seconds", row.longest)
        object.add("swept", row.swept)
        object.add("stuck", row.stuck)
        object.add("leftovers", row.leftovers)
        return object
      })
    return document.text + "\n"
  }
}
