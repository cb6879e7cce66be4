internal import CPTO2Linux
internal import Glibc
internal import PTO2System

/// What workers write, to standard output and error alike, comes through one pipe and goes
/// to standard error of this process.
///
/// So a report on standard output is never mixed with what kernels print, a terminal that
/// stops background processes stops no worker, and a reader that has gone to sleep stops
/// none either: when it takes nothing for two seconds, what comes is thrown away until it
/// does. Of one thread.
final class OutputRelay {
  private let pipe: Pipe
  private var buffer: [UInt8] = []
  private var lastProgress: UInt64 = 0
  private var isStuck = false
  private(set) var lostBytes = 0

  private static let capacity = 65536
  private static let patienceNanoseconds: UInt64 = 2_000_000_000

  init() throws(SystemError) {
    pipe = try Pipe("output of workers", isBlocking: true)
    _ = fcntl(pipe.readEnd, F_SETFL, O_NONBLOCK)
  }

  /// For workers.
  var writeEnd: Int32 { pipe.writeEnd }

  /// What poll(2) waits for.
  var entries: [pollfd] {
    [
      pollfd(
        fd: buffer.count < Self.capacity ? pipe.readEnd : -1, events: Int16(POLLIN), revents: 0),
      pollfd(fd: buffer.isEmpty ? -1 : STDERR_FILENO, events: Int16(POLLOUT), revents: 0),
    ]
  }

  /// Brings on what goes without waiting.
  func forward() {
    guard pipe.isIntact else { return }
    for _ in 0..<16 {
      let count = read()
      if !write() && count == 0 { return }
    }
  }

  /// Whatever is left, at the end.
  func finish() {
    let deadline = Deadline(afterMilliseconds: 2000)
    repeat {
      forward()
      if !buffer.isEmpty { sleepNanoseconds(1_000_000) }
    } while !buffer.isEmpty && !deadline.hasPassed
    lostBytes += buffer.count
    buffer = []
  }

  private func read() -> Int {
    let room = Self.capacity - buffer.count
    guard room > 0 else { return 0 }
    var piece = [UInt8](repeating: 0, count: room)
    let count = unsafe piece.withUnsafeMutableBytes {
      unsafe Glibc.read(pipe.readEnd, $0.baseAddress!, room)
    }
    guard count > 0 else { return 0 }
    if buffer.isEmpty { lastProgress = MonotonicClock.now() }
    buffer += piece[..<count]
    return count
  }

  /// - Returns: true when there is less than before.
  private func write() -> Bool {
    if buffer.isEmpty { return false }
    let count = unsafe buffer.withUnsafeBytes {
      unsafe pto2_write_now(STDERR_FILENO, $0.baseAddress!, $0.count)
    }
    if count > 0 {
      buffer.removeFirst(Int(count))
      lastProgress = MonotonicClock.now()
      isStuck = false
      return true
    }
    // Closed, or nobody there: or nobody who reads.
    if count == 0 && !isStuck {
      guard MonotonicClock.now() &- lastProgress > Self.patienceNanoseconds else { return false }
      isStuck = true
    }
    lostBytes += buffer.count
    buffer = []
    return true
  }
}
