import PTO2Protocol
import PTO2Segment
import PTO2Sight
import Testing

/// What takes several looks, and what every tool says.
@Suite struct LooksTests {
  /// Of ten looks at which ring 1 had 1 to 10 tasks in its window.
  @Test func distributionIsOfTheLooks() throws {
    var looks = RingLooks()
    var picture = Sample.picture
    for count in [7, 1, 10, 3, 5, 2, 9, 4, 8, 6] as [UInt32] {
      picture.rings[1].released = 3000
      picture.rings[1].current = 3000 + count
      looks.note(picture)
    }
    #expect(looks.count == 10)
    let sizing = Sizing(picture, looks)
    let row = try #require(
      sizing.text.split(separator: "\n").first { $0.hasPrefix("   1  task window") })
    // Now, half, 90 %, peak, size.
    let cells = row.split(separator: " ").dropFirst(3).map { String($0) }
    #expect(cells.prefix(3) == ["6", "5", "9"], "\(row)")
    #expect(
      sizing.json.text.contains("\"main_half\":5,\"main_90\":9,\"main_most\":10"),
      "\(sizing.json.text)")
    #expect(!Sizing(picture).json.text.contains("main_half"))
  }

  /// The time counts from the first view that saw the wait, and anew with another position.
  @Test func waitHasATime() {
    var history = TopHistory()
    var picture = Sample.picture
    picture.orchestrator.wait = .released(ring: 1)
    picture.orchestrator.target = 4001
    #expect(history.view(picture).waitSeconds == 0)
    picture.time += 2_000_000_000
    var view = history.view(picture)
    #expect(view.waitSeconds == 2)
    view.diagnosis.cause = .progress
    let lines = render(
      view, ScreenSize(columns: 200, rows: 60), ScreenStyle(isUnicode: false, hasColours: false))
    #expect(lines.contains { $0.hasPrefix("The program waits") && $0.hasSuffix(" For 2.0 s.") })
    picture.orchestrator.target = 4002
    #expect(history.view(picture).waitSeconds == 0)
    picture.orchestrator.wait = nil
    #expect(history.view(picture).waitSeconds == nil)
  }

  /// Records that a trace has lost stand in every tool.
  @Test func droppedRecordsAreSaidEverywhere() {
    var picture = Sample.picture
    var trace = TraceUse()
    (trace.written, trace.dropped) = (1000, 77)
    picture.trace = trace
    let diagnosis = diagnose(picture)
    let screen = render(
      TopView(picture: picture, diagnosis: diagnosis), ScreenSize(columns: 80, rows: 24),
      ScreenStyle(isUnicode: false, hasColours: false))
    #expect(screen.contains { $0.contains("trace dropped 77") })
    #expect(diagnosis.lines.contains { $0.contains("77 of its records") })
    #expect(Inspection(picture).text.contains("1000 records, 77 DROPPED"))
    #expect(Inspection(picture).json.text.contains("\"trace_dropped\":77"))
    #expect(Sizing(picture).text.contains("1000 records, 77 DROPPED"))
    picture.trace?.dropped = 0
    #expect(!diagnose(picture).lines.contains { $0.contains("its records") })
  }
}
