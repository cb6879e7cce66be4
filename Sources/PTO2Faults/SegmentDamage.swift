internal import PTO2Protocol
package import PTO2Segment
package import PTO2System

/// What faults do to a segment, and whom they hit.
extension SegmentReader {
  /// Stores a word, whoever's it is; false when it is gone.
  package func store(_ value: UInt32, at offset: UInt64) -> Bool {
    unsafe withUnsafeBytes(of: value) { unsafe object.write($0, at: offset) }
  }

  /// Makes the object smaller, or larger: ftruncate(2).
  package func truncate(_ bytes: UInt64) -> Bool {
    do { try object.setSize(bytes) } catch { return false }
    return true
  }

  /// A word that changes with every process that announces itself in a place.
  package func incarnation(_ role: ProcessRole) -> UInt64 {
    offset(of: record(role).incarnation)
  }

  /// Words of the process record that each process changes, in no order.
  package func announcement(_ role: ProcessRole) -> [UInt64] {
    let record = record(role)
    return [record.incarnation, record.startTime, record.heartbeatWord].map(offset(of:))
  }

  /// The process that plays a role now, if it has announced itself and lives.
  package func process(_ role: ProcessRole) -> ProcessIdentity? {
    let identity = role == .orchestrator ? creator : content(record(role))?.identity
    return identity.flatMap { $0.isAlive ? $0 : nil }
  }

  private func record(_ role: ProcessRole) -> ProcessRecord {
    switch role {
    case .orchestrator: orchestratorPage.process
    case .scheduler: schedulerPage.process
    case .worker(let core): corePage(core).process
    }
  }
}
