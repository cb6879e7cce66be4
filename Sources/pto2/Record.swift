internal import ArgumentParser
internal import PTO2Script
internal import PTO2Sight
internal import PTO2System

struct Record: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Writes the tasks of a session as a script.",
    discussion: """
      From the rings of a session that lives, stands still or is dead, or of a copy: tasks with \
      kernels, tensors, scalars, scopes and dependencies, and the session's sizes, for `pto2 run` \
      and `pto2 test`. The rings must still hold all of its tasks: a larger --task-window holds \
      more.

      Exit status: 0, 1 when the run cannot be recorded, 64 for wrong usage, 73 when there is no \
      such segment, 74 when the script cannot be written.

      Examples:
        pto2 record my-session
        pto2 record my-session -o ./recorded.yaml --json
      """)

  @OptionGroup var segment: SegmentArgument
  @Option(name: .shortAndLong, help: "Where the script goes; it is replaced.", completion: .file())
  var output: String?
  @Flag(help: "Says what was written, as one JSON object.") var json = false

  func validate() throws {
    if json && output == nil { throw ValidationError("--json needs -o FILE.") }
  }

  func run() throws {
    let reader = try openSegment(segment.name)
    let run: RecordedRun
    let text: String
    do {
      run = try reader.recordedRun()
      text = try Transcript.text(run)
    } catch {
      writeError("pto2: error: \(printable("\(segment.name): \(error)"))")
      throw ExitCode(1)
    }
    guard let output else { return try sayText(text) }
    if let error = writeText(text, to: output) {
      writeError("pto2: error: \(error)")
      throw ExitCode(Status.lostOutput)
    }
    guard json else { return }
    var object = JSONObject()
    object.add("file", output)
    object.add("bytes", text.utf8.count)
    object.add("tasks", run.taskCount)
    try say(object.text)
  }
}
