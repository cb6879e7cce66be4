internal import CPTO2Linux
internal import Glibc
package import PTO2System

/// The process that does the faults of `--faults` to this session.
///
/// It is told the script through one pipe and ends when that is closed, by
/// `finish` or by the end of this process, however it comes; through the other
/// it says what it has done.
@safe package struct FaultInjector {
  private let pid: Int32
  private let control: Int32
  private let report: Int32

  package enum Failure: Error {
    case system(SystemError)
    /// The engine's own words.
    case engine(String)
  }

  /// Starts it and waits until it watches. Call it before other processes are
  /// started: the script's points count from then on.
  /// - Parameter script: fits a pipe.
  package init(executable: String, segment: String, script: String) throws(Failure) {
    let toEngine: (read: Int32, write: Int32)
    let fromEngine: (read: Int32, write: Int32)
    let child: ChildProcess
    var mine: [Int32] = []
    do throws(SystemError) {
      toEngine = try makePipe("faults", isBlocking: true)
      mine += [toEngine.read, toEngine.write]
      fromEngine = try makePipe("faults", isBlocking: true)
      mine += [fromEngine.read, fromEngine.write]
      _ = fcntl(toEngine.read, F_SETFD, 0)
      _ = fcntl(fromEngine.write, F_SETFD, 0)
      child = try ChildProcess.spawn(
        Launch(
          name: "faults", role: .faults, executable: executable,
          arguments: [
            "--segment", segment, "--parent", "\(getpid())", "--control", "\(toEngine.read)",
            "--report", "\(fromEngine.write)",
          ]))
    } catch {
      for descriptor in mine { close(descriptor) }
      throw .system(error)
    }
    close(toEngine.read)
    close(fromEngine.write)
    if child.descriptor >= 0 { close(child.descriptor) }
    self.init(pid: child.pid, control: toEngine.write, report: fromEngine.read)
    // It may trace its parent.
    pto2_allow_tracer(child.pid)
    let bytes = [UInt8](script.utf8) + [0]
    _ = unsafe bytes.withUnsafeBytes { unsafe write(control, $0.baseAddress!, $0.count) }
    let answer = readLines(until: { $0 == "ready" || $0.hasPrefix("error ") }, milliseconds: 10000)
    if answer.last == "ready" { return }
    stop()
    throw .engine(answer.last.map { String($0.dropFirst(6)) } ?? "pto2-fault did not start")
  }

  private init(pid: Int32, control: Int32, report: Int32) {
    self.pid = pid
    self.control = control
    self.report = report
  }

  /// Ends the injection.
  /// - Returns: by fault, how often it was done, how often it had its chance, and when it was
  ///   done last; nil when the engine has not said so.
  package func finish() -> [(fired: UInt64, chances: UInt64, last: UInt64)]? {
    close(control)
    var lines = readLines(until: { $0 == "end" }, milliseconds: 5000)
    kill(pid, SIGKILL)
    var status: Int32 = 0
    _ = unsafe waitpid(pid, &status, 0)
    close(report)
    guard lines.popLast() == "end" else { return nil }
    return lines.map { line in
      let numbers = line.split(separator: " ").compactMap { UInt64($0) }
      return numbers.count == 3 ? (numbers[0], numbers[1], numbers[2]) : (0, 0, 0)
    }
  }

  private func stop() {
    close(control)
    kill(pid, SIGKILL)
    var status: Int32 = 0
    _ = unsafe waitpid(pid, &status, 0)
    close(report)
  }

  /// Lines up to the one that is asked for; fewer when time is over.
  private func readLines(until isLast: (String) -> Bool, milliseconds: UInt64) -> [String] {
    let deadline = Deadline(afterMilliseconds: milliseconds)
    var lines: [String] = []
    var line: [UInt8] = []
    while !deadline.hasPassed {
      var entry = pollfd(fd: report, events: Int16(POLLIN), revents: 0)
      guard unsafe poll(&entry, 1, 100) > 0 else { continue }
      var byte: UInt8 = 0
      guard unsafe read(report, &byte, 1) == 1 else { break }
      guard byte == UInt8(ascii: "\n") else {
        line.append(byte)
        continue
      }
      lines.append(String(decoding: line, as: UTF8.self))
      line = []
      if isLast(lines.last!) { break }
    }
    return lines
  }
}
