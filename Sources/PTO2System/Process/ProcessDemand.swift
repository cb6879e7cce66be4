extension ProcessIdentity {
  /// How long the process's first thread has run, or waited for a CPU to run on, in
  /// nanoseconds: both stand in /proc/PID/schedstat. Nil where Linux does not say, and when
  /// it has ended.
  package func runnableNanoseconds() -> UInt64? {
    #if PTO2_SIMULATION
      return nil
    #else
      guard let text = readWholeFile("/proc/\(pid)/schedstat", limit: 4096),
        startTime == 0 || Self.startTime(of: pid) == startTime
      else { return nil }
      let numbers = text.split(whereSeparator: \.isWhitespace).prefix(2).compactMap { UInt64($0) }
      return numbers.count == 2 ? numbers[0] &+ numbers[1] : nil
    #endif
  }
}
