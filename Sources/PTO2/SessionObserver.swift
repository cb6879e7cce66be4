package import PTO2Protocol

/// Somebody who puts a front on a session: the command line.
package protocol SessionObserver: AnyObject, Sendable {
  /// The segment is there, and no process has been started.
  func willStart(_ processes: SessionProcesses) throws(PTO2Error)
  /// A line for people. May be called on another thread.
  func say(_ notice: String)
  /// The program does not come back though the session has failed, or a second signal
  /// has come: the process is to end. Called on another thread; need not return.
  func programIsAbsent(_ error: PTO2Error, signal: Int32?)
}
