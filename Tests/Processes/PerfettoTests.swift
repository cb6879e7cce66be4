import Glibc
import Harness
import PTO2System
import Testing

/// A trace in Perfetto's own UI, which has its trace processor in it, in a real browser.
@Suite(.serialized, .enabled(if: Browser.isThere, Browser.missing)) struct PerfettoTests {
  private static let perfetto = repositoryRoot + ".build/perfetto"

  /// The UI that Scripts/setup.sh has fetched, from a server on loopback, with a trace in it.
  private func withPerfetto(_ trace: String, _ body: (Browser) throws -> Void) throws {
    let folder = Command.temporaryDirectory()
    defer { _ = Command.run("/bin/rm", ["-rf", folder]) }
    for name in Command.run("/bin/ls", [Self.perfetto]).output.split(separator: "\n") {
      try #require(symlink(Self.perfetto + "/" + name, folder + "/" + name) == 0)
    }
    try #require(symlink(trace, folder + "/run.pftrace") == 0)
    let server = Command(
      "python3", ["-u", "-m", "http.server", "--bind", "127.0.0.1", "--directory", folder, "0"],
      isOnPath: true)
    try #require(server.waitUntil { server.output.contains("(http://") }, "\(server.errors)")
    let address = server.output.split(separator: "(").last!.prefix { $0 != ")" }
    let browser = try Browser()
    try browser.resize(1280, 800)
    try browser.open("\(address)#!/?url=\(address)run.pftrace")
    try #require(try browser.waits(for: "Boolean(window.app && window.app.trace)"))
    try body(browser)
  }

  /// A row of numbers.
  private func ask(_ browser: Browser, _ query: String) throws -> [Double] {
    try browser.numbers(
      """
      ...(await (async () => { const found = await app.trace.engine.query(`\(query)`);
        const row = found.iter({}); return found.columns().map(name => row.get(name)); })())
      """)
  }

  /// Perfetto's trace processor has the counts and sums that the run's report has, its UI the
  /// tracks.
  @Test(
    .enabled(
      if: access(perfetto + "/index.html", R_OK) == 0,
      "no Perfetto in .build/perfetto: Scripts/setup.sh fetches it"))
  func perfettoReadsTheTrace() throws {
    try withTrace(["pure", "400"], ["--trace-edges", "--no-ahead", "--clusters", "2"]) {
      folder, report in
      let path = folder + "/run.pftrace"
      var trace = WireTrace(path)
      let slices = trace.slices()
      try withPerfetto(path) { browser in
        // What it could not read.
        #expect(
          try ask(
            browser,
            "select count(*), 0 from stats where value > 0 and severity in ('error', 'data_loss')")
            == [0, 0])
        let runs = try ask(
          browser,
          """
          select count(*), sum(dur), count(distinct track_id), min(dur) from slice where dur > 0
          """)
        #expect(runs[0] == number("kernels", in: report))
        #expect(
          abs(runs[1] / 1e9 - (number("kernel_seconds", in: report) ?? 0)) < 1e-6, "\(runs)")
        #expect(runs[2] == Double(Set(slices.map(\.begin.track)).count))
        let summary = Command.run("pto2", ["trace", "--json", path]).output
        #expect(runs[1] == numbers("kernel_ns", in: summary).reduce(0, +))
        #expect(
          try ask(browser, "select count(distinct ring || ':' || task), 0 from (\(Self.facts))")[0]
            == number("tasks", in: report))
        for fact in ["since_submitted_ns", "since_ready_ns", "until_released_ns"] {
          let sum = slices.reduce(0) { $0 + ($1.begin.numbers[fact] ?? 0) }
          let found = try ask(
            browser,
            "select sum(int_value), count(*) from args where flat_key = 'debug.\(fact)'")
          #expect(found == [Double(sum), 400], "\(fact)")
        }
        // Arrows, each from a run's end to another's beginning.
        #expect(
          try ask(browser, "select count(*), 0 from flow")[0] == number("edges", in: report))
        let window = trace.events.filter {
          trace.tracks[$0.track]?.hasSuffix("tasks to RELEASED") ?? false
        }.compactMap(\.counter)
        let counters = try ask(
          browser,
          """
          select count(*), max(value), min(value) from counter c
            join counter_track t on c.track_id = t.id where t.name like 'ring % tasks to RELEASED'
          """)
        #expect(counters == [Double(window.count), Double(window.max() ?? -1), 0])

        // The picture.
        #expect(
          try browser.waits(for: "window.waitForPerfettoIdle().then(() => 'idle')", toBe: "idle"))
        let shown = try browser.text("document.body.innerText")
        for words in ["workers", "scheduler", "run.pftrace"] {
          #expect(shown.contains(words), "\(words)")
        }
        #expect(try browser.number("document.querySelectorAll('canvas').length") >= 1)
      }
    }
  }

  private static let facts = """
    select r.int_value as ring, t.int_value as task from slice s
      join args r on r.arg_set_id = s.arg_set_id and r.flat_key = 'debug.ring'
      join args t on t.arg_set_id = s.arg_set_id and t.flat_key = 'debug.task' where s.dur > 0
    """
}
