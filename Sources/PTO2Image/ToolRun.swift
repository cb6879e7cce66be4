internal import Glibc
internal import PTO2System
internal import Synchronization

/// A compiler, linker or the like that is run with its words in files.
package struct ToolRun {
  package let command: [String]
  private var child: ChildStatus
  private let outputPath: String

  package var status: Int32? { child.status }

  /// - Parameter output: a file for what it says on standard output and error.
  init(_ command: [String], output: String) throws(SystemError) {
    self.command = command
    outputPath = output
    child = try spawnProcess(command, files: (output, output))
  }

  /// False once it has ended.
  mutating func isRunning() -> Bool { child.isRunning() }

  func end(by signal: Int32 = SIGTERM) { child.signal(signal) }

  package var output: String { readWholeFile(outputPath) ?? "" }
}

/// A signal that has come while tools ran; nothing is left of them then.
package struct Interruption: Error { package let signal: Int32 }

private let pendingSignal = Atomic<Int32>(0)

/// Runs tools, some at a time, in a folder that is gone afterwards.
final class Workshop {
  let folder: String
  private let jobs: Int
  private var count = 0

  init(jobs: Int) throws(SystemError) {
    self.jobs = jobs
    let base = environment("TMPDIR").flatMap { $0.isEmpty ? nil : $0 } ?? "/tmp"
    let pattern = base + "/pto2-compile-XXXXXX"
    var name = Array(pattern.utf8CString)
    let isMade = unsafe name.withUnsafeMutableBufferPointer {
      unsafe mkdtemp($0.baseAddress!) != nil
    }
    guard isMade else { throw SystemError("mkdtemp", pattern, errno: errno) }
    folder = String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    for number in [SIGINT, SIGTERM, SIGHUP] {
      signal(number) { pendingSignal.store($0, ordering: .relaxed) }
    }
  }

  deinit {
    for entry in entries(of: folder) { _ = unsafe unlink(folder + "/" + entry) }
    _ = unsafe rmdir(folder)
  }

  func write(_ text: String, to name: String) throws(SystemError) -> String {
    let file = try OutputFile(creating: folder + "/" + name)
    file.write(Array(text.utf8))
    if let error = file.error { throw error }
    return file.path
  }

  /// Runs all; stops after the first that fails.
  /// - Returns: the one that failed, or nil.
  func run(_ commands: [[String]]) throws -> ToolRun? {
    var waiting = commands[...]
    var running: [ToolRun] = []
    var failed: ToolRun?
    while !running.isEmpty || (failed == nil && !waiting.isEmpty) {
      while failed == nil, running.count < jobs, let next = waiting.popFirst() {
        count += 1
        running.append(try ToolRun(next, output: "\(folder)/words-\(count)"))
      }
      let signal = pendingSignal.load(ordering: .relaxed)
      if signal != 0 { for tool in running { tool.end() } }
      for index in running.indices.reversed() where !running[index].isRunning() {
        let tool = running.remove(at: index)
        if tool.status != 0 && failed == nil { failed = tool }
      }
      if signal != 0 && running.isEmpty { throw Interruption(signal: signal) }
      if !running.isEmpty { usleep(2000) }
    }
    return failed
  }
}

/// A command's path on the PATH; nil when there is none.
package func findTool(_ name: String) -> String? {
  if name.contains("/") { return isAccessible(name, execute: true) ? name : nil }
  for folder in (environment("PATH") ?? "/usr/bin:/bin").split(separator: ":") {
    let path = folder + "/" + name
    if isAccessible(String(path), execute: true) { return String(path) }
  }
  return nil
}
