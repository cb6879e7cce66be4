internal import ArgumentParser
internal import PTO2Protocol
internal import PTO2Sight
internal import PTO2System

struct Decode: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Says what a register word, a task's id or an error's code means.",
    usage: """
      pto2 decode [--json] <word> ...
      pto2 decode [--json] --task <id> ...
      pto2 decode [--json] --error <code> ...
      """,
    discussion: """
      Words are decimal, or hexadecimal after 0x. One of 32 bits is read as DATA_MAIN_BASE and \
      as COND. Words, ids and codes may be given together.
      Exit status: 0, 1 when some word is one that nobody stores, 64 for wrong usage.

      Examples:
        pto2 decode 0x40000005 0xC0000005
        pto2 decode --task 4294967338
        pto2 decode --error 101
        pto2 decode --json 0x7FFFFFF0
      """)

  @Argument(help: ArgumentHelp("Register words.", valueName: "word")) var words: [String] = []

  @Option(help: ArgumentHelp("A task's id: RING:ID, or its 64 bits.", valueName: "id"))
  var task: [String] = []

  @Option(help: ArgumentHelp("An error's code.", valueName: "code")) var error: [String] = []

  @Flag(help: "One JSON object a line.") var json = false

  func validate() throws {
    guard !(words.isEmpty && task.isEmpty && error.isEmpty) else {
      throw ValidationError("expected a word, --task or --error")
    }
  }

  func run() throws {
    var isStrange = false
    for text in words {
      guard let value = parseWord(text).flatMap({ UInt32(exactly: $0) }) else {
        throw ValidationError("\(text): expected a word of 32 bits, such as 0x40000005 or 17")
      }
      let meanings = WordText.Register.allCases.map { WordText(value, in: $0) }
      if meanings.allSatisfy({ $0.text.hasPrefix("no word") }) { isStrange = true }
      for meaning in meanings {
        let name = meaning.register == .cond ? "COND          " : "DATA_MAIN_BASE"
        try say(json ? meaning.json.text : "\(hex(value))  \(name)  \(meaning.text)")
      }
    }
    for text in task {
      guard let id = parseTask(text) else {
        throw ValidationError("--task \(text): expected RING:ID with a ring below 8, or 35 bits")
      }
      try say(json ? object(id).text : "\(id.rawValue)  task \(id.local) of ring \(id.ring)")
    }
    for text in error {
      if let own = UInt32(text).flatMap({ PTO2Error(programCode: $0, "") }) {
        try say(
          json
            ? object(own).text
            : "error \(own.number)  \(own.name), exit status \(own.exitStatus): \(PTO2Error.programAdvice)"
        )
        continue
      }
      guard let code = UInt32(text).flatMap({ PTO2ErrorCode(rawValue: $0) }) else {
        let codes = PTO2ErrorCode.allCases.map { "\($0.rawValue)" }.joined(separator: ", ")
        throw ValidationError("--error \(text): expected one of \(codes), or 1000 to 1039")
      }
      try say(
        json
          ? object(code).text
          : "error \(code.rawValue)  \(code.name), exit status \(code.exitStatus): \(code.advice)")
    }
    if isStrange { throw ExitCode(1) }
  }

  private func object(_ id: TaskID) -> JSONObject {
    var object = JSONObject()
    object.add("task", id.rawValue)
    object.add("ring", id.ring)
    object.add("local", id.local)
    return object
  }

  private func object(_ error: PTO2Error) -> JSONObject {
    var object = JSONObject()
    object.add("error", error.number)
    object.add("name", error.name)
    object.add("exit_status", error.exitStatus)
    object.add("advice", PTO2Error.programAdvice)
    return object
  }

  private func object(_ code: PTO2ErrorCode) -> JSONObject {
    var object = JSONObject()
    object.add("error", code.rawValue)
    object.add("name", code.name)
    object.add("exit_status", code.exitStatus)
    object.add("advice", code.advice)
    return object
  }
}
