internal import ArgumentParser
internal import PTO2Segment
internal import PTO2System

struct List: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Shows every segment: live or stale.",
    discussion: """
      One line a segment: its name, and "live" with the orchestrator's process, "stale" with \
      the memory it holds, "unfinished" or "of another boot".

      Example:
        pto2 list --json
      """)

  @Flag(help: "One JSON object a line.") var json = false

  func run() throws {
    for name in Segment.names() {
      try show(name, Segment.sweep(name, removing: false), json: json, removed: false)
    }
  }
}

struct Reap: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Removes segments in which nobody lives any more.",
    discussion: """
      Without names it looks at everything in /dev/shm and removes what is a segment of this \
      boot that no process has attached: a lock in the segment proves that. A live session is \
      never touched. A named object that a creator left unfinished is removed as well, after \
      the two seconds that creators get. Exit status: 0, or 1 when a named segment is still \
      there.

      Examples:
        pto2 reap
        pto2 reap my-session
        pto2 reap --dry-run
      """)

  @Argument(help: "Segments; all by default.") var names: [String] = []
  @Flag(help: "Only tell what would be removed.") var dryRun = false
  @Flag(help: "One JSON object a line.") var json = false

  func run() throws {
    var isLeft = false
    for name in names.isEmpty ? Segment.names() : names {
      var state = Segment.sweep(name, removing: !dryRun)
      if state == .unfinished && !names.isEmpty && !dryRun {
        sleepNanoseconds(2_000_000_000)
        state = Segment.sweep(name, removing: true, unfinished: true)
      }
      let isRemovable =
        switch state {
        case .stale: true
        case .unfinished: !names.isEmpty
        default: false
        }
      if !names.isEmpty && state != .absent && !isRemovable { isLeft = true }
      try show(
        name, state, json: json, removed: isRemovable && !dryRun, isNamed: !names.isEmpty)
    }
    if isLeft { throw ExitCode(1) }
  }
}

private func show(
  _ name: String, _ state: NameState, json: Bool, removed: Bool, isNamed: Bool = false
) throws {
  let (word, detail): (String, String)
  switch state {
  case .live(let pid): (word, detail) = ("live", "process \(pid)")
  case .stale(let bytes): (word, detail) = ("stale", "\(bytes >> 10) KiB")
  case .unfinished: (word, detail) = ("unfinished", "no header")
  case .otherBoot: (word, detail) = ("other-boot", "of another boot")
  case .foreign:
    // Other programs' objects are nobody's business here, unless they were named.
    guard isNamed else { return }
    (word, detail) = ("foreign", "nothing that pto2 has made, or not this user's: it is left alone")
  case .absent: (word, detail) = ("absent", "not there")
  }
  guard json else { return try say("\(name)  \(removed ? "removed" : word)  \(detail)") }
  var object = JSONObject()
  object.add("name", name)
  object.add("state", word)
  object.add("removed", removed)
  if case .live(let pid) = state { object.add("pid", pid) }
  if case .stale(let bytes) = state { object.add("bytes", bytes) }
  try say(object.text)
}
