internal import PTO2
internal import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

/// Why a run did not succeed, and what the process exits with.
struct SessionFailure: Error {
  var error: PTO2Error
  var text: String
  var exitStatus: Int32
  /// What `--faults` has done.
  var faults: [FaultOutcome] = []

  /// - Parameter signal: the one that asked this process to end, if any.
  init(_ error: PTO2Error, signal: Int32? = nil) {
    self.error = error
    text = error.description
    exitStatus = error.code == .interrupted ? 128 + (signal ?? 2) : error.exitStatus
    guard let reason = error.underlying else { return }
    switch (error.code, reason) {
    case (_, let failure as SessionFailure): self = failure
    case (.explicitOrchFatal, _):
      self = SessionFailure(
        text: "error: \(reason)", exitStatus: ExitStatus.programFailed, code: .explicitOrchFatal)
    case (_, is ConfigurationError), (_, SegmentError.invalidName):
      self = SessionFailure(text: "error: \(error.message)", exitStatus: ExitStatus.usage)
    case (_, is SegmentError), (_, is SystemError):
      self = SessionFailure(
        text: "error: \(error.message)", exitStatus: ExitStatus.cannotCreate, code: error.code)
    default: break
    }
  }

  init(text: String, exitStatus: Int32, code: PTO2ErrorCode = .invalidArgs) {
    error = PTO2Error(code, text)
    self.text = text
    self.exitStatus = exitStatus
  }

  /// In the words of an error, for code that throws those.
  var asError: PTO2Error { PTO2Error(error.code, text, underlying: self) }

  func print(_ program: String, json: Bool) {
    // Another rank has said it.
    if error.isEcho { return }
    if json && exitStatus != ExitStatus.cannotReport {
      writeOutput(
        failureJSON(program: program, error: error, exitStatus: exitStatus, faults: faults))
    }
    writeError("\(program): \(text)", within: 5000)
  }
}

/// Exit statuses that stand for no error code.
enum ExitStatus {
  static let programFailed: Int32 = 1
  static let usage: Int32 = 64
  /// A fault of `--faults` never fired.
  static let notExercised: Int32 = 75
  static let cannotCreate: Int32 = 73
  /// What a run has come to cannot be written.
  static let cannotReport: Int32 = 74
}
