import Glibc
import Harness
import Testing

/// Runs with --trace: what the file says, read by `WireTrace` and by `pto2 trace`, beside what
/// the run's report says.
@Suite(.serialized, .elsewhereToo) struct TraceTests {
  private func traced(
    _ scene: [String], _ options: [String], file: String = "run.pftrace",
    _ check: (Command.Result, String) throws -> Void
  ) throws {
    let folder = Command.temporaryDirectory()
    defer { removeDirectory(folder) }
    let segment = freshSegment("trace-" + folder.suffix(6))
    let path = folder + "/" + file
    let command = conformance(scene, segment: segment, options: ["--trace", path] + options)
    try check(command.wait(), path)
    expectClean(segment)
    #expect(entries(of: folder) == [file], "nothing else is left")
  }

  private func entries(of folder: String) -> [String] {
    Command.run("/bin/ls", [folder]).output.split(separator: "\n").map { String($0) }
  }

  /// The times of a task in the order in which they must be; those of its ends are of its last
  /// run.
  private func times(_ slice: WireTrace.Slice, isAhead: Bool) -> [Int64?] {
    let facts = slice.begin.numbers
    func since(_ name: String) -> Int64? { facts["since_" + name + "_ns"].map { -$0 } }
    func until(_ name: String) -> Int64? { facts["until_" + name + "_ns"] }
    let end = Int64(slice.nanoseconds)
    return [since("submitted"), since("wired")] + (isAhead ? [] : [since("ready")])
      + [since("dispatched"), 0, end, until("completed"), until("released"), until("consumed")]
  }

  private func expectInOrder(_ slices: [WireTrace.Slice], isAhead: Bool) {
    var wrong: [String] = []
    for slice in slices {
      let times = times(slice, isAhead: isAhead)
      let known = times.compactMap { $0 }
      if known.count != times.count || known != known.sorted() {
        wrong.append("\(slice.begin.task): \(times)")
      }
    }
    #expect(wrong.isEmpty, "\(wrong.count): \(wrong.prefix(5))")
  }

  /// Counts and sums are those of the report, and every task went its way in order.
  @Test(arguments: [("1", true), ("1", false), ("2", false)])
  func traceSaysWhatTheReportSays(threads: String, isAhead: Bool) throws {
    let options = ["--threads", threads, "--clusters", "2"] + (isAhead ? [] : ["--no-ahead"])
    try traced(["pure", "400"], options + ["--first-position", "4294967200"]) { result, path in
      #expect(result.status == 0, "\(result.errors)")
      let report = result.output
      var trace = WireTrace(path)
      let slices = trace.slices()
      #expect(trace.faults.isEmpty, "\(trace.faults.prefix(5))")
      #expect(Double(slices.count) == number("kernels", in: report))
      #expect(Double(Set(slices.map(\.begin.task)).count) == number("tasks", in: report))
      let seconds = Double(slices.reduce(0) { $0 + $1.nanoseconds }) / 1e9
      #expect(abs(seconds - (number("kernel_seconds", in: report) ?? 0)) < 1e-6)
      #expect(report.contains("\"kernel_seconds_sampled\":false"))
      #expect(number("dropped", in: report) == 0)
      expectInOrder(slices, isAhead: isAhead)
      // A run is where its dispatch went, and not beside another.
      for track in Set(slices.map(\.begin.track)) {
        let own = slices.filter { $0.begin.track == track }
        #expect(zip(own, own.dropFirst()).allSatisfy { $0.end <= $1.begin.time })
        #expect(trace.tracks[track]?.first == "a")
      }
      let counters = trace.events.filter { $0.type == 4 }
      #expect(Set(counters.map(\.track)).count == 3, "ready, and two of the one ring")
      for track in Set(counters.map(\.track)) {
        let values = counters.filter { $0.track == track }.map { $0.counter ?? -1 }
        #expect(values.last == 0 && values.allSatisfy { $0 >= 0 })
      }
      let summary = Command.run("pto2", ["trace", "--json", path])
      #expect(summary.status == 0, "\(summary.errors)")
      #expect(number("tasks", in: summary.output) == number("tasks", in: report))
      let sum = numbers("kernel_ns", in: summary.output).reduce(0, +)
      #expect(abs(sum / 1e9 - seconds) < 1e-9)
      #expect(Command.run("pto2", ["trace", path]).output.contains("ready to dispatch"))
    }
  }

  /// With --trace-edges each dependency is an arrow between two tasks, of which the second
  /// begins when the first has ended.
  @Test func dependenciesAreFlows() throws {
    try traced(["pure", "100"], ["--trace-edges", "--no-ahead"]) { result, path in
      #expect(result.status == 0, "\(result.errors)")
      var trace = WireTrace(path)
      let slices = trace.slices()
      var ends: [UInt64: UInt64] = [:]
      for slice in slices { for flow in slice.begin.flows { ends[flow] = slice.end } }
      var count = 0
      for slice in slices {
        for flow in slice.begin.endedFlows {
          count += 1
          #expect(ends[flow].map { $0 <= slice.begin.time } ?? false, "\(slice.begin.task)")
        }
      }
      #expect(count >= 90 && trace.faults.isEmpty, "\(count)")
    }
  }

  /// Each of six tasks in a chain is lost twice with its worker, which its kernel kills, and then
  /// done: in whichever order Linux runs who takes part.
  @Test func killedWorkerShowsEveryAttempt() throws {
    try traced(["halfway", "6"], []) { result, path in
      #expect(result.status == 0, "\(result.errors)")
      #expect(number("kernels", in: result.output) == 6)
      var trace = WireTrace(path)
      let slices = trace.slices()
      #expect(trace.faults.isEmpty, "\(trace.faults.prefix(5))")
      #expect(slices.count == 18)
      for (task, runs) in Dictionary(grouping: slices, by: { $0.begin.task }) {
        let attempts = runs.map { $0.begin.numbers["attempt"] ?? 1 }
        #expect(attempts.sorted() == [1, 2, 3], "\(task): \(attempts)")
        let lost = runs.filter { $0.begin.numbers["lost"] == 1 }
        #expect(
          Set(lost.map { $0.begin.numbers["attempt"] ?? 1 }) == [1, 2], "\(task): not the third")
      }
      let died = trace.events.filter { $0.type == 3 && $0.name == "worker died" }
      #expect(died.count == 12)
    }
  }

  /// A fault script's fault is an event, and a file whose name ends in .json is JSON.
  @Test func faultIsAnEvent() throws {
    let folder = Command.temporaryDirectory()
    defer { removeDirectory(folder) }
    let script = folder + "/faults.json"
    write(#"{"faults": [{"at": 0.01, "do": "kill", "to": "worker aiv0"}]}"#, to: script)
    try traced(["pure", "2000"], ["--faults", script], file: "run.json") { result, path in
      #expect(result.status == 0, "\(result.errors)")
      let text = readFile(path)
      #expect(text.hasPrefix("[\n") && text.hasSuffix("\n]\n"))
      let events = text.split(separator: "\n").dropFirst().dropLast()
      #expect(events.allSatisfy { $0.hasPrefix("{") && ($0.hasSuffix("}") || $0.hasSuffix("},")) })
      let runs = events.count { $0.contains("\"ph\":\"X\"") && !$0.contains("\"lost\":true") }
      #expect(Double(runs) == number("kernels", in: result.output))
      #expect(text.contains("\"name\":\"fault\""))
      #expect(text.contains("\"name\":\"worker died\""))
      let refused = Command.run("pto2", ["trace", path])
      #expect(refused.status == 73 && refused.errors.contains(".pftrace"), "\(refused.errors)")
    }
  }

  /// The page of `pto2 report` is one file that asks nobody for anything; its runs are those of
  /// the trace, and the pieces of the critical path tile the time.
  @Test func pageHasWhatTheTraceHas() throws {
    try traced(["pure", "300"], ["--task-window", "16"]) { _, path in
      var trace = WireTrace(path)
      let slices = trace.slices()
      let page = path + ".html"
      defer { unlink(page) }
      let result = Command.run("pto2", ["report", path, "-o", page, "--json"])
      #expect(result.status == 0, "\(result.errors)")
      let text = readFile(page)
      #expect(Double(text.utf8.count) == number("bytes", in: result.output))
      #expect(text.contains("content=\"default-src 'none'; "))
      #expect(!text.contains("://") && !text.contains("src=") && !text.contains("href="))
      func part(_ id: String) -> Substring {
        text.split(separator: "id=\"\(id)\">").last!.split(separator: "</script>").first!
      }
      var values = base64Varints(part("runs"))[...]
      var (count, sum) = (0, 0 as UInt64)
      while values.count >= 4 {
        count += 1
        sum += values[values.startIndex + 1]
        values = values.dropFirst(4)
      }
      #expect(count == slices.count && sum == slices.reduce(0) { $0 + $1.nanoseconds })
      let meta = String(part("meta"))
      let pieces = numbers("sum", in: meta).reduce(0, +)
      #expect(pieces == number("span", in: meta) && pieces > 0)
      // The fill of the ring, as the times of the tasks have it.
      let peak = mostToReleased(slices)
      let shown = levels("released", in: meta).max() ?? 0
      #expect(shown <= peak && shown > peak / 2, "\(shown) of \(peak)")
      #expect(Command.run("pto2", ["report", path, "-o", "/nowhere/page.html"]).status == 74)
    }
  }

  /// The most tasks between submission and the watermark of their one ring.
  private func mostToReleased(_ slices: [WireTrace.Slice]) -> Int {
    var watermark: Int64 = 0
    var steps: [(time: Int64, change: Int)] = []
    let times = slices.map { slice in
      let (facts, time) = (slice.begin.numbers, Int64(slice.begin.time))
      return (
        id: facts["task"] ?? 0, submitted: time - (facts["since_submitted_ns"] ?? 0),
        released: time + (facts["until_released_ns"] ?? 0)
      )
    }
    for task in times.sorted(by: { $0.id < $1.id }) {
      watermark = max(watermark, task.released)
      steps += [(task.submitted, 1), (watermark, -1)]
    }
    var (count, most) = (0, 0)
    for step in steps.sorted(by: { ($0.time, $0.change) < ($1.time, $1.change) }) {
      count += step.change
      most = max(most, count)
    }
    return most
  }

  private func levels(_ key: String, in meta: String) -> [Int] {
    guard let begin = meta.firstRange(of: "\"\(key)\":[") else { return [] }
    return meta[begin.upperBound...].prefix { $0 != "]" }.split(separator: ",")
      .compactMap { Int($0.filter { $0 != "\"" }) }
  }

  /// What cannot be is said before anything is started.
  @Test func wrongOptionsAreRefused() {
    for (options, text, status) in [
      (["--trace", "/nowhere/run.pftrace"], "/nowhere/run.pftrace", Int32(73)),
      (["--trace", ""], "--trace", 64), (["--trace-edges"], "--trace FILE", 64),
      (["--trace", "/tmp/pto2-never", "--trace-buffer", "5000"], "65536", 64),
    ] {
      let segment = freshSegment("trace-wrong")
      let result = conformance(["pure", "1"], segment: segment, options: options).wait()
      #expect(result.status == status, "\(options): \(result.status)")
      #expect((result.errors + result.output).contains(text), "\(result.errors)\(result.output)")
      expectClean(segment)
    }
  }

  @Test func fullDiskLosesTheTraceAlone() throws {
    let folder = Command.temporaryDirectory()
    defer { removeDirectory(folder) }
    let path = folder + "/run.pftrace"
    #expect(symlink("/dev/full", path) == 0)
    let segment = freshSegment("trace-full")
    let result = conformance(["pure", "20"], segment: segment, options: ["--trace", path]).wait()
    #expect(result.status == 74)
    #expect(result.messages.count == 1 && result.errors.contains("its trace is lost: write"))
    #expect(result.output.contains("\"result\":\"success\""))
    expectClean(segment)
  }

  /// Files that are no traces, or no whole ones.
  @Test func damagedFilesAreRefused() throws {
    try traced(["pure", "20"], []) { _, path in
      let whole = Command.run("/usr/bin/head", ["-c", "3000", path])
      let cut = path + ".cut"
      defer { unlink(cut) }
      #expect(Command.run("/bin/sh", ["-c", "head -c 3001 \(path) > \(cut)"]).status == 0)
      #expect(!whole.output.isEmpty)
      #expect(Command.run("pto2", ["trace", cut]).status == 73)
    }
    for path in ["/nowhere", "/dev/null", "/tmp", "/etc/passwd", "/bin/ls"] {
      let result = Command.run("pto2", ["trace", path])
      #expect(result.status == 73 && result.errors.hasPrefix("pto2: error: "), "\(path)")
    }
  }
}
