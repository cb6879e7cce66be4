internal import ArgumentParser
internal import PTO2Sight
internal import PTO2System

struct Stat: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Shows how full each ring is and was, and the sizes that would do.",
    discussion: """
      The peaks are those that the scheduler keeps in the segment, since the session began: \
      tasks to RELEASED and to CONSUMED, the dependency pool, the heap. The payload ring has \
      none there. Of scopes that the program has named and that have ended there is what they \
      took of their rings, by name.

      Exit status: 0, 1 when something in the segment contradicts itself, 64 for wrong usage, \
      73 when there is no such segment.

      Examples:
        pto2 stat my-session
        pto2 stat my-session --json
      """)

  @OptionGroup var segment: SegmentArgument
  @Flag(help: "One JSON object.") var json = false

  func run() throws {
    let picture = try openSegment(segment.name).picture()
    let sizing = Sizing(picture)
    try json ? say(sizing.json.text) : sayText(sizing.text)
    if !json { for line in picture.damage { try say("Damaged: \(line)") } }
    if !picture.damage.isEmpty { throw ExitCode(1) }
  }
}
