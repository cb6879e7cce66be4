package import PTO2Protocol
package import PTO2Segment

/// What a supervisor watches, and whom it tells. Called on the supervisor's thread.
package protocol SupervisedSession: AnyObject, Sendable {
  /// Lends the segment, which stays mapped until the supervisor has stopped.
  func withSegment<Result>(_ body: (borrowing Segment) -> Result) -> Result
  /// True once an error ends the session.
  var hasFailed: Bool { get }
  /// Ends the session.
  func fail(_ error: PTO2Error)
  /// A worker has died: its core, and in words how it ended.
  func noteWorkerDeath(core: Int, ending: String)
  /// A line for people.
  func say(_ notice: String)
  /// The program does not come to its next call, long after the session has failed,
  /// or a second signal has come; every child has been killed. Need not return.
  /// - Parameter signal: the first one, if there was one.
  func programIsAbsent(signal: Int32?)
}

extension SupervisedSession {
  /// The error a worker published for its core.
  func workerError(core: Int) -> PTO2Error? {
    withSegment { $0.truncationError() ?? $0.corePage(core).error.readOfCore() }
  }

  /// What the core was running, in words.
  func runningTask(core: Int) -> String? {
    withSegment { segment in
      let task = segment.runningTask(core: core)
      guard let place = segment.crashPlace(core: core) else { return task }
      return (task ?? "a kernel") + ", by " + place
    }
  }

  func readyWord(core: Int) -> UInt32 {
    withSegment { $0.corePage(core).ready.loadAcquire() }
  }

  /// The scheduler's process, once attached.
  var schedulerRecord: ProcessRecord.Content? {
    withSegment { $0.schedulerPage.process.read() }
  }

  /// Changes as long as the scheduler goes round.
  var schedulerHeartbeat: UInt32 { withSegment { $0.schedulerPage.process.heartbeat() } }

  /// What the link to the other ranks has ended the session with.
  var linkError: PTO2Error? { withSegment { $0.linkError } }

  var hasSchedulerError: Bool { withSegment { $0.schedulerPage.error.read() != nil } }
}
