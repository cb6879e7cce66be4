internal import ArgumentParser
internal import PTO2Sight
internal import PTO2System

struct Stat: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Shows how full each ring is and was, and the sizes that would do.",
    discussion: """
      The peaks are those that the scheduler keeps in the segment, since the session began: \
      tasks to RELEASED and to CONSUMED, the dependency pool, the heap. The payload ring has \
      none there. With --seconds it looks a hundred times a second for so long, and says how \
      full they were at half and at 90 % of these looks. Of scopes that the program has named \
      and that have ended there is what they took of their rings, by name.

      Exit status: 0, 1 when something in the segment contradicts itself, 64 for wrong usage, \
      73 when there is no such segment.

      Examples:
        pto2 stat my-session
        pto2 stat --seconds 2 my-session
        pto2 stat my-session --json
      """)

  @OptionGroup var segment: SegmentArgument
  @Option(
    help: ArgumentHelp("How long to look, if the session lives.", valueName: "seconds"),
    transform: seconds(_:))
  var seconds: Double?
  @Flag(help: "One JSON object.") var json = false

  func run() throws {
    let reader = try openSegment(segment.name)
    var picture = reader.picture()
    var looks: RingLooks?
    if let seconds {
      looks = RingLooks()
      looks?.note(picture)
      let end = MonotonicClock.now() + UInt64(seconds * 1e9)
      while picture.session.isAttached && MonotonicClock.now() < end {
        sleepNanoseconds(10_000_000)
        picture = reader.picture()
        looks?.note(picture)
      }
    }
    let sizing = Sizing(picture, looks)
    try json ? say(sizing.json.text) : sayText(sizing.text)
    if !json { for line in picture.damage { try say("Damaged: \(line)") } }
    if !picture.damage.isEmpty { throw ExitCode(1) }
  }
}
