import PTO2Protocol
import PTO2Sight
import Testing

/// What is told by looking often.
@Suite struct HistoryTests {
  @Test func busyIsTheShareOfLooksAndTimeTheLeastThereWas() {
    var history = TopHistory()
    var picture = Sample.picture
    _ = history.view(picture)
    // A kernel runs at two of four looks; another is the same all the time.
    let idle = { (picture: Picture) in
      var picture = picture
      picture.cores[1].lanes = []
      return picture
    }
    for look in 1...3 {
      picture.time += 100_000_000
      history.note((look < 3 ? idle(picture) : picture).cores, at: picture.time)
    }
    picture.time += 100_000_000
    picture.rings[2].released += 50
    let view = history.view(picture)
    #expect(view.uses[0].busy == 1)
    #expect(abs(view.uses[0].seconds! - 0.4) < 1e-6)
    #expect(view.uses[1].busy == 0.5)
    #expect(abs(view.uses[1].seconds! - 0.1) < 1e-6)
    #expect(view.uses[3].busy == 0 && view.uses[3].seconds == nil)
    #expect(abs(view.tasksPerSecond! - 125) < 1e-6)
  }

  /// The same kernel again is another dispatch.
  @Test func newDispatchBeginsAnew() {
    var history = TopHistory()
    var picture = Sample.picture
    _ = history.view(picture)
    picture.time += 1_000_000_000
    picture.cores[0].lanes[0].position += 1
    #expect(history.view(picture).uses[0].seconds == 0)
  }

  /// Its last kernel has not run on since then, and nobody waits.
  @Test func deadSessionTakesNoTime() {
    var history = TopHistory()
    var picture = Sample.picture
    picture.orchestrator.wait = .released(ring: 1)
    _ = history.view(picture)
    picture.session.isAttached = false
    picture.time += 1_000_000_000
    let view = history.view(picture)
    #expect(view.uses.isEmpty)
    #expect(view.waitSeconds == nil && view.tasksPerSecond == nil)
  }
}
