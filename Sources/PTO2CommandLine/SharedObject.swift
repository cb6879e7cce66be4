internal import PTO2
internal import PTO2Protocol
internal import PTO2System

/// Loads a program and runs it in a session; `ExitCode` as in `RuntimeOptions.run`.
package func runSharedObject(_ path: String, arguments: [String], options: RuntimeOptions) throws {
  // A bare file name is a file here, not something on the loader's path.
  let path = path.contains("/") ? path : "./" + path
  let program: SharedObjectProgram
  holdStandardDescriptors()
  ProgramEnd.shared.expectNoExit(path, json: options.json, "\(path) was loaded")
  defer { ProgramEnd.shared.letExit() }
  do throws(SessionFailure) {
    try requireMemory()
    do { program = try SharedObjectProgram(path: path) } catch {
      throw SessionFailure(text: "error: \(error.message)", exitStatus: ExitStatus.usage)
    }
  } catch let failure {
    if options.json {
      writeOutput(
        failureJSON(program: path, error: failure.error, exitStatus: failure.exitStatus))
    }
    writeError("pto2-orchestrator: \(failure.text)")
    throw ExitCode(failure.exitStatus)
  }
  let directory = String(path[...path.lastIndex(of: "/")!])
  let name = String(path[path.index(after: path.lastIndex(of: "/")!)...])
  _ = try options.run(name, images: program.images, imageDirectories: [directory]) { graph in
    try program.run(graph, arguments: [name] + arguments)
  }
}
