import Glibc
import Harness
import PTO2System
import Testing

/// A run of a scene of ConformanceProgram, with its report in JSON and nothing else.
func conformance(_ arguments: [String], segment: String, options: [String] = []) -> Command {
  Command(
    "pto2-orchestrator",
    [
      "--program", Command.buildDirectory + "libConformanceProgram.so", "--quiet", "--json",
      "--segment", segment,
    ] + options + ["--"] + arguments)
}

/// Nothing is left of a session; processes that were fenced or started late may still
/// be on their way out.
func expectClean(_ segment: String, location: SourceLocation = #_sourceLocation) {
  let deadline = Deadline(afterMilliseconds: UInt64(Command.watchdogSeconds) * 1000)
  while Leftovers.of(segment) != .none && !deadline.hasPassed { usleep(2000) }
  #expect(Leftovers.of(segment) == .none, sourceLocation: location)
}

/// False where unshare(1) grants no such namespaces: not to this user, or not in this
/// container.
func mayUnshare(_ options: [String]) -> Bool {
  Command.run("/usr/bin/unshare", options + ["true"]).status == 0
}

/// A new file.
func write(_ text: String, to path: String, location: SourceLocation = #_sourceLocation) {
  let file = fopen(path, "wx")
  #expect(file != nil, "\(path)", sourceLocation: location)
  guard let file else { return }
  fputs(text, file)
  fclose(file)
}
