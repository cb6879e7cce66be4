internal import ArgumentParser
internal import PTO2Sight
internal import PTO2System

struct Stuck: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Says why a session stands still: from what is blocked to what is responsible.",
    discussion: """
      Looks several times at a session that lives, once at one that is dead, and follows the \
      words in the segment: the blocked submit, the ring and what of it is full, the oldest \
      task, its scope or consumers, the core and kernel that run, or the rank that has to send, \
      which is followed where it is on this machine. Then it says what to change.

      Exit status: 0 when something moves or the program has ended well, 1 when nothing does \
      and the cause is named, 2 when it cannot be told, 64 for wrong usage, 73 when there is \
      no such segment.

      Examples:
        pto2 stuck my-session
        pto2 stuck --seconds 2 my-session
        pto2 stuck --json ./copy-of-a-segment
      """)

  @OptionGroup var segment: SegmentArgument

  @Option(
    help: ArgumentHelp("How long to look, if the session lives.", valueName: "seconds"),
    transform: seconds(_:))
  var seconds: Double = 0.5

  @Flag(help: "One JSON object.") var json = false

  func run() throws {
    let reader = try openSegment(segment.name)
    let diagnosis = observeRanks(reader, seconds: seconds)
    if json {
      try say(diagnosis.json.text)
    } else {
      let style = outputStyle()
      for (index, line) in diagnosis.lines.enumerated() {
        try say(index == 0 && style.hasColours ? "\u{1B}[1m\(line)\u{1B}[0m" : line)
      }
    }
    if diagnosis.verdict.exitStatus != 0 { throw ExitCode(diagnosis.verdict.exitStatus) }
  }
}
