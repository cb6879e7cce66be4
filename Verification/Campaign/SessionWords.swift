import CPTO2Segment
import Glibc
import PTO2Faults
import PTO2Protocol
import PTO2Segment

/// What the campaign looks at in a session's words, and what it does to them.
extension SegmentReader {
  var coreCount: Int { configuration.coreCount }

  func ready(_ core: Int) -> UInt32 { corePage(core).ready.loadAcquire() }
  func fenced(_ core: Int) -> UInt32 { schedulerPage.fenced(core).loadAcquire() }
  func workerPid(_ core: Int) -> pid_t { corePage(core).process.pid }
  var schedulerPid: pid_t { schedulerPage.process.pid }
  var isSchedulerAttached: Bool { schedulerPage.control.loadAcquire() != PTO2_SCHED_ABSENT }

  /// Stores a COND word, as a kernel of that core could.
  func damage(_ core: Int, lane: UInt32, _ value: UInt32) -> Bool {
    store(value, at: offset(of: corePage(core).cond(lane)))
  }

  /// Nothing of the segment is left; its views must not be looked at any more.
  func truncate() -> Bool { truncate(0) }
}
