internal import ArgumentParser
internal import Glibc
internal import PTO2Sight
internal import PTO2System

struct Top: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Shows a session live: cores, rings, who waits for what.",
    discussion: """
      Looks at the cores twenty times between two views: BUSY is the share of looks at which a \
      kernel ran, FOR how long a core has had its dispatch, at least. Rings show how full they \
      are. q or Ctrl-C ends it, and so does the end of the session. With -b, views are printed \
      one after the other, 80 columns wide unless --columns says otherwise.

      Exit status: 0, 64 for wrong usage, 73 when there is no such segment, 74 when the output \
      cannot be written or is no terminal, 128 + n after signal n.

      Examples:
        pto2 top my-session
        pto2 top -d 0.2 my-session
        pto2 top -b -n 1 my-session
        pto2 top -b -n 2 -d 0.2 --json my-session
      """)

  @OptionGroup var segment: SegmentArgument

  @Option(
    name: [.customShort("d"), .customLong("delay")],
    help: ArgumentHelp("Time between two views.", valueName: "seconds"), transform: seconds(_:))
  var delay: Double = 1

  @Flag(name: [.customShort("b"), .customLong("batch")], help: "Prints views; takes no keys.")
  var isBatch = false

  @Option(
    name: [.customShort("n"), .customLong("count")],
    help: ArgumentHelp("Ends after so many views; with -b 1 by default.", valueName: "n"))
  var count: Int?

  @Option(help: ArgumentHelp("With -b: columns, 20 to 500.", valueName: "n"))
  var columns = 80

  @Flag(help: "With -b: one JSON object a view.") var json = false

  func validate() throws {
    if let count, count < 1 { throw ValidationError("-n: expected at least 1") }
    guard (20...500).contains(columns) else {
      throw ValidationError("--columns: expected 20 to 500")
    }
    if json && !isBatch { throw ValidationError("--json goes with -b") }
  }

  func run() throws {
    let reader = try openSegment(segment.name, taskLimit: 256)
    if isBatch { return try printViews(reader) }
    guard let terminal = Terminal() else {
      writeError("pto2: error: standard output is no terminal: -b prints views")
      throw ExitCode(Status.lostOutput)
    }
    try show(reader, on: terminal)
  }

  /// The next view, after the looks that it takes.
  /// - Returns: nil when `isOver` says so, which is asked between two looks.
  private func view(
    _ reader: PictureReader, _ history: inout TopHistory, looks: Int, isOver: () -> Bool
  ) -> TopView? {
    for _ in 0..<looks {
      sleepNanoseconds(UInt64(delay / Double(looks) * 1e9))
      if isOver() { return nil }
      history.note(reader.cores(), at: MonotonicClock.now())
    }
    return history.view(reader.picture())
  }

  private static let looks = 20

  private func printViews(_ reader: PictureReader) throws {
    var history = TopHistory()
    let first = reader.picture()
    let isLive = first.session.isAttached
    // Rates and times need a view before.
    if isLive { _ = history.view(first) }
    for number in 1...(count ?? 1) {
      guard
        let view = isLive
          ? view(reader, &history, looks: Self.looks, isOver: { false }) : history.view(first)
      else { return }
      if json {
        try say(view.json.text)
      } else {
        if number > 1 { try say("") }
        let size = ScreenSize(columns: columns, rows: 100_000)
        var style = outputStyle()
        style.hasColours = false
        try sayText(render(view, size, style).map { $0 + "\n" }.joined())
      }
      if !isLive || !view.picture.session.isAttached { return }
    }
  }

  private func show(_ reader: PictureReader, on terminal: Terminal) throws {
    let style = outputStyle()
    var history = TopHistory()
    var view = history.view(reader.picture())
    let wasAttached = view.picture.session.isAttached
    var left = count ?? Int.max
    while true {
      let size = terminal.size()
      guard terminal.draw(render(view, size, style)) else { throw ExitCode(Status.lostOutput) }
      left -= 1
      if left == 0 { break }
      var isOver = false
      var isResized = false
      let next = self.view(reader, &history, looks: Self.looks) {
        isOver = terminal.wantsEnd()
        isResized = terminal.wasResized()
        return isOver || isResized
      }
      if isOver { break }
      if let next { view = next }
      if wasAttached && !view.picture.session.isAttached { break }
    }
    terminal.restore()
    terminal.raisePending()
    if wasAttached && !view.picture.session.isAttached {
      try say("the session has ended: \(view.diagnosis.summary)")
    }
  }
}
