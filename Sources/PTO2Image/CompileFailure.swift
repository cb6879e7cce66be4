/// Why no program was made.
package enum CompileFailure: Error {
  /// There is no compiler, or another tool is missing.
  case noTool(String)
  /// The compiler does what a program must not see.
  case refusedCompiler(String)
  /// A source cannot be read.
  case noSource(String)
  /// The compiler does not take a source; its words.
  case refusedSource(source: String, output: String, command: [String])
  /// A source asks for what pto2 does not have.
  case unsupported(source: String, what: String)
  /// A file cannot be written.
  case lostOutput(String)

  package var exitStatus: Int32 {
    switch self {
    case .noTool, .refusedCompiler: 69
    case .noSource: 66
    case .refusedSource, .unsupported: 65
    case .lostOutput: 74
    }
  }

  package var kind: String {
    switch self {
    case .noTool: "no-tool"
    case .refusedCompiler: "refused-compiler"
    case .noSource: "no-source"
    case .refusedSource: "refused-source"
    case .unsupported: "unsupported"
    case .lostOutput: "lost-output"
    }
  }

  package var text: String {
    switch self {
    case .noTool(let text), .refusedCompiler(let text), .noSource(let text), .lostOutput(let text):
      text
    case .refusedSource(let source, let output, let command):
      "\(source): the compiler refuses it\n\(output)  command: \(command.joined(separator: " "))"
    case .unsupported(let source, let what): "\(source): \(what)"
    }
  }
}
