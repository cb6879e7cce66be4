package import PTO2Protocol

extension ProcessRecord.Content {
  package var identity: ProcessIdentity { ProcessIdentity(pid: pid, startTime: startTime) }
}

extension OwnedProcessRecord {
  /// Announces this process; returns its incarnation.
  @discardableResult
  package func announce(isSupervised: Bool) -> UInt32 {
    let identity = ProcessIdentity.current()
    return announce(
      pid: identity.pid, startTime: identity.startTime, isSupervised: isSupervised,
      now: MonotonicClock.now())
  }
}

extension OwnedErrorBlock {
  /// Publishes this role's error, with the time it is now.
  package func write(_ error: PTO2Error, core: Int? = nil) {
    write(error, core: core, now: MonotonicClock.now())
  }
}
