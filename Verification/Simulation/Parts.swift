internal import CSimulation
internal import Glibc
internal import PTO2System

/// The set of `make simulate`: some of everything. Each part is a process of its own, so
/// that as many run at once as there are CPUs, and what the sessions of a part leave
/// behind (stacks of roles that were killed) is gone with it.
enum Parts {
  private struct Part {
    /// Begins first, so that nobody waits for it in the end.
    var isLong = false
    var run: (Campaign) throws -> Void
  }

  /// - Parameters:
  ///   - isShort: a quarter of the sessions with several scheduler threads, and every pair of
  ///     deaths for one task instead of two.
  ///   - isGlance: the first of each row's sessions alone, which find most mistakes in a
  ///     twentieth of the time.
  private static func all(isShort: Bool, isGlance: Bool = false) -> [Part] {
    var parts: [Part] = []
    // Seeds of one row, a part for each so many of them.
    func random(
      _ last: UInt64, each: UInt64, _ size: Size, _ strategy: StrategyName, _ crash: CrashName,
      program: (Tiny, threads: Int)? = nil
    ) {
      let last = isGlance ? max(20, last / 20) : last
      for first in stride(from: UInt64(1), through: last, by: Int(each)) {
        parts.append(
          Part {
            try $0.random(
              first...min(last, first + each - 1), size: size, strategy: strategy, crash: crash,
              program: program)
          })
      }
    }
    for strategy in [StrategyName.random, .pct] {
      random(12_000, each: 12_000, .tiny, strategy, .none)
      random(4000, each: 4000, .small, strategy, .none)
      random(200, each: 200, .large, strategy, .none)
    }
    for strategy in [StrategyName.random, .pct] {
      random(4000, each: 2000, .rank, strategy, .none)
      random(2000, each: 1000, .rank, strategy, .any)
    }
    random(4000, each: 1000, .rank, .random, .scheduler)
    for strategy in [StrategyName.random, .pct] {
      random(isShort ? 1000 : 4000, each: 1000, .ranks, strategy, .none)
      random(isShort ? 500 : 2000, each: 500, .ranks, strategy, .any)
    }
    random(isShort ? 500 : 2000, each: 500, .ranks, .random, .scheduler)
    random(6000, each: 2000, .tiny, .random, .any)
    random(2000, each: 1000, .small, .pct, .any)
    random(4000, each: 1000, .small, .random, .scheduler)
    random(6000, each: 2000, .tiny, .pct, .any)
    for threads in 2...3 {
      random(
        isShort ? 10_000 : 40_000, each: 20_000, .tiny, .random, .none,
        program: (.rings, threads))
    }
    for program in Tiny.allCases {
      func search(_ threads: Int, _ bound: Int, _ holds: Bool) {
        parts.append(
          Part {
            try $0.depthFirst(
              program, threads: threads, bound: bound, holds: holds,
              budget: isGlance ? 250_000 : 5_000_000, replay: nil)
          })
      }
      search(1, 2, false)
      search(2, 1, false)
      search(2, 1, true)
      if !isGlance && (program == .one || program == .reuse && !isShort) {
        parts.append(Part(isLong: true) { try $0.everyPair(program, threads: 1, at: nil) })
      }
      for threads in 1...(isGlance ? 1 : 3) {
        parts.append(
          Part { try $0.everyCrash(program, threads: threads, crash: .any, at: nil) })
      }
    }
    return parts
  }

  /// Runs the set.
  /// - Parameter campaign: one that has run nothing.
  /// - Parameter stopsAtFirst: some of every part comes first; a part with a failure is the
  ///   last.
  /// - Returns: its rows, in order.
  static func run(_ campaign: Campaign, jobs: Int, isShort: Bool, stopsAtFirst: Bool) throws
    -> [Row]
  {
    let whole = all(isShort: isShort)
    guard stopsAtFirst else {
      return try run(whole, campaign, jobs: jobs, stopsAtFirst: false)
    }
    let glance = all(isShort: isShort, isGlance: true)
    let rows = try run(glance, campaign, jobs: jobs, stopsAtFirst: true)
    if rows.contains(where: { $0.failures > 0 }) { return rows }
    return try run(whole, campaign, jobs: jobs, stopsAtFirst: true)
  }

  private static func run(
    _ parts: [Part], _ campaign: Campaign, jobs: Int, stopsAtFirst: Bool
  ) throws -> [Row] {
    var running: [pid_t: (part: Int, output: Int32)] = [:]
    var rows = [[Row]](repeating: [], count: parts.count)
    var waiting: [Int] = parts.indices.filter { !parts[$0].isLong }.reversed()
    waiting += parts.indices.filter { parts[$0].isLong }
    while !waiting.isEmpty || !running.isEmpty {
      while running.count < jobs, let next = waiting.popLast() {
        var output: Int32 = -1
        let child = unsafe sim_fork(&output)
        guard child >= 0 else {
          throw Problem("\(SystemError("fork", "pto2-simulate", errno: errno))")
        }
        if child == 0 { end(campaign, parts[next], output) }
        running[child] = (next, output)
      }
      var status: Int32 = 0
      let ended = unsafe waitpid(-1, &status, 0)
      guard let (part, output) = running.removeValue(forKey: ended) else {
        if ended < 0 && errno == EINTR { continue }
        throw Problem("\(SystemError("waitpid", "pto2-simulate", errno: errno))")
      }
      rows[part] = Row.read(from: output)
      close(output)
      if status != 0 || rows[part].isEmpty {
        throw Problem("a process with part \(part) of the set ended with wait status \(status)")
      }
      if stopsAtFirst && rows[part].contains(where: { $0.failures > 0 }) {
        for child in running.keys { kill(child, SIGKILL) }
        break
      }
    }
    return joined(rows.joined())
  }

  /// What the process of a part does: its rows fit the pipe, whoever reads it.
  private static func end(_ campaign: Campaign, _ part: Part, _ output: Int32) -> Never {
    do {
      try part.run(campaign)
    } catch {
      writeError("\(error)\n")
      _exit(1)
    }
    let text = campaign.rows.map { $0.line }.joined()
    let isWritten = unsafe text.utf8.withContiguousStorageIfAvailable {
      unsafe write(output, $0.baseAddress, $0.count) == $0.count
    }
    _exit(isWritten == true ? 0 : 1)
  }

  /// Neighbours that are the same row are one.
  private static func joined(_ parts: some Sequence<Row>) -> [Row] {
    var rows: [Row] = []
    for part in parts {
      if let last = rows.last, last.strategy == part.strategy,
        last.configuration == part.configuration
      {
        rows[rows.count - 1].add(part)
      } else {
        rows.append(part)
      }
    }
    return rows
  }
}

extension Row {
  fileprivate var line: String {
    "\(strategy)\t\(configuration)\t\(runs)\t\(steps)\t\(seconds)\t\(failures)\t\(slices)\t\(note)\n"
  }

  private init?(line: Substring) {
    let words = line.split(separator: "\t", omittingEmptySubsequences: false)
    guard words.count == 8, let runs = Int(words[2]), let steps = Int(words[3]),
      let seconds = Double(words[4]), let failures = Int(words[5]), let slices = Int(words[6])
    else { return nil }
    self.init(
      strategy: String(words[0]), configuration: String(words[1]), runs: runs, steps: steps,
      seconds: seconds, failures: failures, slices: slices, note: String(words[7]))
  }

  fileprivate static func read(from file: Int32) -> [Row] {
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = unsafe Glibc.read(file, &buffer, buffer.count)
      if count <= 0 { break }
      bytes += buffer[0..<count]
    }
    return String(decoding: bytes, as: UTF8.self).split(separator: "\n").compactMap {
      Row(line: $0)
    }
  }
}
