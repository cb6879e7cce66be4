internal import ArgumentParser
internal import PTO2Protocol
internal import PTO2Segment
internal import PTO2Sight
internal import PTO2System

struct Inspect: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Shows what stands in a segment: header, rings, a task, a core.",
    discussion: """
      Exit status: 0, 1 when something in the segment contradicts itself, 64 for wrong usage \
      and for a task, core or ring that the session has not, 73 when there is no such segment.

      Examples:
        pto2 inspect my-session
        pto2 inspect my-session --ring 0
        pto2 inspect my-session --task 1:1
        pto2 inspect my-session --core aiv0 --json
      """)

  @OptionGroup var segment: SegmentArgument

  @Option(help: ArgumentHelp("A task by its ring and its id there.", valueName: "ring:id"))
  var task: String?

  @Option(help: ArgumentHelp("A core, such as aic0 or aiv1.", valueName: "name"))
  var core: String?

  @Option(help: ArgumentHelp("A ring, and its oldest tasks.", valueName: "n"))
  var ring: Int?

  @Flag(help: "One JSON object.") var json = false

  func validate() throws {
    guard [task != nil, core != nil, ring != nil].count(where: { $0 }) <= 1 else {
      throw ValidationError("--task, --core and --ring: one of them at a time")
    }
  }

  func run() throws {
    let reader = try openSegment(segment.name)
    let picture = reader.picture()
    let inspection = Inspection(picture)
    if let task {
      try show(task, reader, inspection, picture)
    } else if let core {
      try show(core: core, inspection, picture)
    } else if let ring {
      guard let text = inspection.ring(ring) else {
        throw ValidationError(
          "--ring \(ring): the session has rings 0 to \(picture.rings.count - 1)")
      }
      try json ? say(inspection.json(picture.rings[ring]).text) : sayText(text)
    } else {
      try json ? say(inspection.json.text) : sayText(inspection.text)
    }
    if !picture.damage.isEmpty { throw ExitCode(1) }
  }

  private func show(
    _ text: String, _ reader: PictureReader, _ inspection: Inspection, _ picture: Picture
  ) throws {
    guard let id = parseTask(text), picture.rings.indices.contains(id.ring) else {
      throw ValidationError(
        "--task \(text): expected RING:ID, with a ring from 0 to \(picture.rings.count - 1)")
    }
    guard let found = reader.task(id, in: picture) else {
      let ring = picture.rings[id.ring]
      throw ValidationError(
        "--task \(id): ring \(id.ring) has tasks \(ring.consumed) to \(ring.current &- 1) that are not CONSUMED"
      )
    }
    try json ? say(inspection.json(found).text) : sayText(inspection.task(found))
  }

  private func show(core name: String, _ inspection: Inspection, _ picture: Picture) throws {
    guard let index = coreIndex(named: name), picture.cores.indices.contains(index) else {
      throw ValidationError(
        "--core \(name): the session has \(picture.cores.map { "\($0.id)" }.joined(separator: ", "))"
      )
    }
    let core = picture.cores[index]
    try json ? say(inspection.json(core).text) : sayText(inspection.core(core))
  }
}
