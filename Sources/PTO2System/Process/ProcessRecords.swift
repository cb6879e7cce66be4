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

// TEMPORARY forms, until every user goes through the pages of PTO2Protocol.
extension ErrorBlock {
  package init(_ base: UnsafeRawPointer) { unsafe self.init(at: base) }
  package static func write(_ error: PTO2Error, core: Int? = nil, to base: UnsafeMutableRawPointer)
  {
    unsafe OwnedErrorBlock(at: base).write(error, core: core)
  }
}
extension ProcessRecord {
  package init(_ base: UnsafeRawPointer) { unsafe self.init(at: base) }
  @discardableResult
  package static func announce(isSupervised: Bool, at base: UnsafeMutableRawPointer) -> UInt32 {
    unsafe OwnedProcessRecord(at: base).announce(isSupervised: isSupervised)
  }
  package static func beat(_ now: UInt64, at base: UnsafeMutableRawPointer) {
    unsafe OwnedProcessRecord(at: base).beat(now)
  }
}
