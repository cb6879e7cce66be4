internal import ArgumentParser
internal import PTO2
internal import PTO2CommandLine
internal import PTO2Segment
internal import PTO2Sight
internal import PTO2System

struct Layout: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Shows the sections of a segment, who writes them, and what they cost.",
    usage: """
      pto2 layout <name> [--json]
      pto2 layout [<sizes>] [--json]
      """,
    discussion: """
      Of a segment that is there, or of the sizes that the options of every orchestrator give; \
      the memory of a single task ring beside that of the two there are.
      Exit status: 0, 64 for wrong usage and sizes that are not valid, 73 when there is no such \
      segment.

      Examples:
        pto2 layout my-session
        pto2 layout --clusters 8 --task-window 4K --heap 64M
        pto2 layout --json
        pto2 layout --json my-session
      """)

  @Argument(
    help: "A segment: a name in /dev/shm, or the path of a file, with a slash.",
    completion: .shellCommand("ls /dev/shm"))
  var name: String?

  @OptionGroup(title: "Sizes") var sizes: SizeOptions
  @Flag(help: "One JSON object.") var json = false

  func validate() throws {
    guard name == nil || sizes.areDefaults else {
      throw ValidationError("a segment has its own sizes: expected a name or options of sizes")
    }
  }

  func run() throws {
    let layout: LayoutText
    if let name {
      let reader = try openSegment(name)
      layout = LayoutText(reader.configuration, reader.layout)
    } else {
      do {
        let configuration = try sizes.segmentConfiguration()
        layout = LayoutText(
          configuration, SegmentLayout(configuration, pageBytes: systemPageBytes()))
      } catch { throw ValidationError("\(error)") }
    }
    try json ? say(layout.json.text) : sayText(layout.text)
  }
}
