import Harness
import Testing

/// The page of `pto2 report` in a real browser: it fits, and answers.
@Suite(.serialized, .enabled(if: Browser.isThere, Browser.missing)) struct BrowserTests {
  /// Opens the page.
  private func withPage(
    tasks: Int, width: Int, height: Int, _ check: (Browser, WireTrace) throws -> Void
  ) throws {
    try withTrace(["pure", "\(tasks)"], ["--clusters", "2"]) { folder, _ in
      let (trace, page) = (folder + "/run.pftrace", folder + "/report.html")
      #expect(Command.run("pto2", ["report", trace, "-o", page]).status == 0)
      let browser = try Browser()
      try browser.resize(width, height)
      try browser.open("file://" + page)
      #expect(try browser.waits(for: "document.readyState", toBe: "complete"))
      try check(browser, WireTrace(trace))
      #expect(browser.complaints.isEmpty, "\(browser.complaints)")
    }
  }

  /// Nothing is wider than the window, but for what scrolls on its own; and everything is drawn.
  private func expectFit(_ browser: Browser, location: SourceLocation = #_sourceLocation) throws {
    let wide = try browser.text(
      """
      [...document.querySelectorAll('body *')].filter(one => !one.closest('.scroll')
        && getComputedStyle(one).display !== 'none'
        && (one.getBoundingClientRect().right > innerWidth + 0.5
          || one.getBoundingClientRect().left < -0.5 || one.scrollWidth > one.clientWidth + 1
          && one.clientWidth > 0)).map(one => one.tagName + ' ' + one.id + ' '
        + one.textContent.slice(0, 40)).join('; ')
      """)
    #expect(wide == "", "wider than the window", sourceLocation: location)
    let widths = try browser.numbers("document.documentElement.scrollWidth, innerWidth")
    #expect(widths[0] <= widths[1], sourceLocation: location)
    let empty = try browser.text(
      """
      [...document.querySelectorAll('canvas')].filter(one => !one.width || !one.height
        || !one.getContext('2d').getImageData(0, 0, one.width, one.height).data.some(byte => byte))
        .map(one => one.id || one.parentNode.textContent).join('; ')
      """)
    #expect(empty == "", "canvases without a picture", sourceLocation: location)
  }

  private static let sizes = [(1280, 800), (390, 844)]

  @Test(arguments: sizes)
  func pageFits(width: Int, height: Int) throws {
    try withPage(tasks: 300, width: width, height: height) { browser, trace in
      #expect(try browser.number("innerWidth") == Double(width))
      try expectFit(browser)
      let lead = try browser.text("document.getElementById('lead').textContent")
      #expect(lead.hasPrefix("300 tasks, 300 kernel runs on 6 cores in "), "\(lead)")
      // The other way, and turned.
      let light = try browser.text("getComputedStyle(document.body).backgroundColor")
      try browser.prefer("dark")
      let dark = try browser.text("getComputedStyle(document.body).backgroundColor")
      #expect(light == "rgb(255, 255, 255)" && dark == "rgb(13, 17, 23)", "\(light) \(dark)")
      try browser.resize(height, width)
      #expect(try browser.waits(for: "innerWidth", toBe: "\(height)"))
      try expectFit(browser)
    }
  }

  @Test(arguments: sizes)
  func pointerAndKeysAreAnswered(width: Int, height: Int) throws {
    try withPage(tasks: 300, width: width, height: height) { browser, trace in
      var trace = trace
      let slices = trace.slices()
      // The longest run: what the page must say of it stands in the trace.
      let longest = try #require(slices.max { $0.nanoseconds < $1.nanoseconds })
      let origin = try #require(
        slices.map { UInt64(Int64($0.begin.time) - ($0.begin.numbers["since_submitted_ns"] ?? 0)) }
          .min())
      let middle = Double(longest.begin.time - origin) + Double(longest.nanoseconds) / 2
      _ = try browser.text("document.getElementById('in').scrollIntoView()")
      func place() throws -> (x: Double, y: Double) {
        let core = trace.tracks[longest.begin.track] ?? ""
        let found = try browser.numbers(
          """
          canvas.getBoundingClientRect().left + canvas.clientLeft + margin
            + (\(middle) - view.from) / (view.to - view.from) * plot(),
          canvas.getBoundingClientRect().top + canvas.clientTop + axis
            + row * (lanes.findIndex(lane => lane.name === '\(core)') + 0.5)
          """)
        // An event has whole pixels.
        return (found[0].rounded(), found[1].rounded())
      }
      func range() throws -> Double { try browser.number("view.to - view.from") }
      let whole = try range()

      // The wheel makes it larger where the pointer is.
      let left = try browser.number("canvas.getBoundingClientRect().left + canvas.clientLeft")
      let under = "timeAt(\(try place().x - left))"
      let before = try browser.number(under)
      try browser.wheel(-100, try place().x, try place().y)
      #expect(try browser.waits(for: "view.to - view.from < \(whole * 0.9)"))
      let after = try browser.numbers(under + ", (view.to - view.from) / plot()")
      #expect(abs(after[0] - before) < after[1], "\(before) \(after)")
      for _ in 0..<11 {
        let at = try place()
        try browser.wheel(-100, at.x, at.y)
      }
      #expect(try browser.waits(for: "view.to - view.from < \(whole / 50)"))
      let at = try place()
      let drawn = "document.getElementById('range').textContent"
      #expect(try browser.waits(for: drawn + " === time(view.from) + ' to ' + time(view.to)"))

      try browser.mouse("mouseMoved", at.x, at.y)
      #expect(try browser.waits(for: "tip.style.display", toBe: "block"))
      let said = try browser.text("tip.textContent")
      #expect(said.hasPrefix(longest.begin.name + "\n"), "\(said)")
      #expect(said.contains("task \(longest.begin.task) on "), "\(said) \(longest.begin.task)")
      let length = try browser.text("time(\(longest.nanoseconds))")
      #expect(said.contains("\n\(length) from "), "\(said) \(length)")
      let box = try browser.numbers(
        "tip.getBoundingClientRect().left, tip.getBoundingClientRect().right, innerWidth")
      #expect(box[0] >= 0 && box[1] <= box[2], "\(box)")
      // Its pixel has the kernel's colour.
      let colours = try browser.text(
        """
        (() => { const box = canvas.getBoundingClientRect(), ratio = devicePixelRatio;
          const x = \(at.x) - box.left - canvas.clientLeft;
          const y = \(at.y) - box.top - canvas.clientTop + row / 2 - 5;
          const [r, g, b] = canvas.getContext('2d').getImageData(x * ratio, y * ratio, 1, 1).data;
          const wanted = colour(meta.kernels.indexOf('\(longest.begin.name)'));
          return [r, g, b].map(part => part.toString(16).padStart(2, '0')).join('') + ' '
            + wanted.slice(1); })()
        """
      ).split(separator: " ")
      #expect(colours.count == 2 && colours[0] == colours[1], "\(colours)")

      // Dragged by a quarter of the width; then back by the keys, and all of it.
      let from = try browser.number("view.from")
      try browser.mouse("mousePressed", at.x, at.y)
      try browser.mouse("mouseMoved", at.x - 40, at.y)
      try browser.mouse("mouseReleased", at.x - 40, at.y)
      let moved = try browser.numbers("view.from, 40 / plot() * (view.to - view.from)")
      #expect(abs(moved[0] - from - moved[1]) < moved[1] / 10, "\(from) \(moved)")
      let small = try range()
      try browser.press("-")
      #expect(try range() > small * 1.9)
      try browser.press("+")
      #expect(try range() < small * 1.1)
      try browser.press("ArrowLeft")
      #expect(try browser.number("view.from") < moved[0])
      try browser.press("0")
      #expect(try range() == whole)
      for (button, factor) in [("in", 0.5), ("out", 1), ("in", 0.5), ("all", 1)] {
        let box = try browser.numbers(
          """
          document.getElementById('\(button)').getBoundingClientRect().left + 5,
          document.getElementById('\(button)').getBoundingClientRect().top + 5
          """)
        try browser.mouse("mousePressed", box[0], box[1])
        try browser.mouse("mouseReleased", box[0], box[1])
        #expect(abs(try range() / whole - factor) < 0.01, "\(button)")
      }
    }
  }
}
