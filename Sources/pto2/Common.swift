internal import ArgumentParser
internal import Glibc
internal import PTO2Segment
internal import PTO2Sight
internal import PTO2System

/// Exit statuses that all commands share; docs/tools.md has the others.
enum Status {
  /// The segment is not there, or is none.
  static let noSegment: Int32 = 73
  /// The output cannot be written.
  static let lostOutput: Int32 = 74
}

func say(_ line: String) throws { try sayText(line + "\n") }

/// Text as it is.
func sayText(_ text: String) throws {
  guard let lost = sendOutput(text) else { return }
  // Whoever reads it has seen enough.
  if lost.errno != SystemError.brokenPipe { writeError("pto2: error: \(lost)") }
  throw ExitCode(Status.lostOutput)
}

/// - Throws: status 73, after a line that says why.
func openSegment(_ place: String, taskLimit: UInt32 = 2048) throws -> PictureReader {
  // A creator has two seconds for it.
  let deadline = Deadline(afterMilliseconds: 2000)
  while true {
    let found: SegmentError
    do throws(SegmentError) { return try PictureReader(place, taskLimit: taskLimit) } catch {
      found = error
    }
    if case .creatorDied = found, !deadline.hasPassed {
      sleepNanoseconds(10_000_000)
      continue
    }
    writeError("pto2: error: \(printable(sentence(found, place)))")
    throw ExitCode(Status.noSegment)
  }
}

/// Of the path of a file it is said what that is; other errors speak of /dev/shm.
private func sentence(_ error: SegmentError, _ place: String) -> String {
  let isPath = place.contains("/")
  return switch error {
  case .notFound where isPath: "\(place): no such file"
  case .notFound(let name, _):
    "no segment \"\(name)\": `pto2 list` shows those in /dev/shm; a path has a slash"
  case .notOurs where isPath: "\(place): no file"
  case .notASegment where isPath: "\(place): no segment of pto2, nor a copy of one"
  case .truncated(let expected, let found) where found < expected && isPath:
    "\(place): no segment of pto2, or one of which too little is left: \(found) bytes of \(expected)"
  default: error.description
  }
}

/// How much may be shown on standard output.
func outputStyle() -> ScreenStyle {
  let isPlain = environment("NO_COLOR").map { !$0.isEmpty } ?? false
  return ScreenStyle(
    isUnicode: isUTF8, hasColours: isatty(STDOUT_FILENO) == 1 && !isPlain)
}

/// What the environment says of the character set, as setlocale(3) reads it.
private var isUTF8: Bool {
  let name =
    ["LC_ALL", "LC_CTYPE", "LANG"].lazy.compactMap { environment($0) }.first { !$0.isEmpty } ?? ""
  let upper = name.uppercased()
  return upper.contains("UTF-8") || upper.contains("UTF8")
}

func seconds(_ text: String) throws -> Double {
  let value = try readSeconds(text)
  guard value > 0, value <= 3600 else {
    throw NumberError(description: "expected seconds above 0, at most 3600")
  }
  return value
}

/// The one argument that most commands have.
struct SegmentArgument: ParsableArguments {
  @Argument(
    help: "The session's segment: a name in /dev/shm, or the path of a file, with a slash.",
    completion: .shellCommand("ls /dev/shm"))
  var name: String
}
