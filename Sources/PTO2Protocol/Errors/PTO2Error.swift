internal import CPTO2Segment

/// Error codes: 1 to 100 are the original's, 101 is proposal 326's, 200 and
/// more are process faults. 1000 to 1039 are programs' own (`PTO2Error.programCode`).
public enum PTO2ErrorCode: UInt32, Sendable, CaseIterable {
  case scopeDeadlock = 1
  case heapRingDeadlock = 2
  case flowControlDeadlock = 3
  case depPoolOverflow = 4
  case invalidArgs = 5
  case requireSyncStartInvalid = 7
  case tensorWaitTimeout = 8
  case explicitOrchFatal = 9
  case tensorMapOverflow = 11
  case schedulerTimeout = 100
  case encodingOverflow = 101
  case workerDied = 200
  case schedulerDied = 201
  case orchestratorDied = 202
  case workerMissing = 203
  case schedulerMissing = 204
  case imageRefused = 205
  case garbageWord = 206
  case protocolViolation = 207
  case outOfMemory = 208
  case interrupted = 209
  case segmentTruncated = 210
  case rankDied = 211
  case diverged = 212
  case linkDied = 213
  case peerSilent = 214

  /// The name as the original and pto2_abi.h spell it.
  public var name: String {
    switch self {
    case .scopeDeadlock: "SCOPE_DEADLOCK"
    case .heapRingDeadlock: "HEAP_RING_DEADLOCK"
    case .flowControlDeadlock: "FLOW_CONTROL_DEADLOCK"
    case .depPoolOverflow: "DEP_POOL_OVERFLOW"
    case .invalidArgs: "INVALID_ARGS"
    case .requireSyncStartInvalid: "REQUIRE_SYNC_START_INVALID"
    case .tensorWaitTimeout: "TENSOR_WAIT_TIMEOUT"
    case .explicitOrchFatal: "EXPLICIT_ORCH_FATAL"
    case .tensorMapOverflow: "TENSORMAP_OVERFLOW"
    case .schedulerTimeout: "SCHEDULER_TIMEOUT"
    case .encodingOverflow: "ENCODING_OVERFLOW"
    case .workerDied: "WORKER_DIED"
    case .schedulerDied: "SCHEDULER_DIED"
    case .orchestratorDied: "ORCHESTRATOR_DIED"
    case .workerMissing: "WORKER_MISSING"
    case .schedulerMissing: "SCHEDULER_MISSING"
    case .imageRefused: "IMAGE_REFUSED"
    case .garbageWord: "GARBAGE_WORD"
    case .protocolViolation: "PROTOCOL"
    case .outOfMemory: "OUT_OF_MEMORY"
    case .interrupted: "INTERRUPTED"
    case .segmentTruncated: "SEGMENT_TRUNCATED"
    case .rankDied: "RANK_DIED"
    case .diverged: "DIVERGED"
    case .linkDied: "LINK_DIED"
    case .peerSilent: "PEER_SILENT"
    }
  }

  /// The exit status of a process that ends with this error: 10 + code for 1
  /// to 11, 30 for 100, 31 for 101, 40 + (code - 200) for process faults.
  public var exitStatus: Int32 {
    switch rawValue {
    case 1...11: Int32(10 + rawValue)
    case 100: 30
    case 101: 31
    default: Int32(40 + rawValue - 200)
    }
  }
}

/// The first error of a run: code, what it is about, and what to do.
public struct PTO2Error: Error, Sendable, CustomStringConvertible {
  /// Which kind; docs/operations.md lists all.
  public var code: PTO2ErrorCode
  /// What happened, with names and sizes, and the remedy.
  public var message: String
  /// The task it is about; nil when it is about none.
  public var task: TaskID?
  /// The ring it is about, from 0 on; nil when it is about none.
  public var ring: Int?
  /// Bytes or items that were needed; 0 when it is not about a size.
  public var needed: UInt64
  /// Bytes or items that there were; 0 when it is not about a size.
  public var available: UInt64
  /// The program's own code, of `programCodes`: it ended the run with it. Nil otherwise.
  public private(set) var programCode: UInt32?
  /// It follows from an error of another rank, which tells of it itself.
  package var isEcho = false
  /// What a closure of the program threw, with `explicitOrchFatal`; otherwise what the
  /// error was made of, if anything. It does not leave its process.
  public var underlying: (any Error)?

  /// Of these parts; what is left out is nil or 0.
  public init(
    _ code: PTO2ErrorCode, _ message: String, task: TaskID? = nil, ring: Int? = nil,
    needed: UInt64 = 0, available: UInt64 = 0, underlying: (any Error)? = nil
  ) {
    self.code = code
    self.message = message
    self.task = task
    self.ring = ring
    self.needed = needed
    self.available = available
    self.underlying = underlying
  }

  /// Codes that a program can end its run with; their exit statuses are 80 to 119.
  public static let programCodes: ClosedRange<UInt32> = 1000...1039

  package static let programName = "PROGRAM"
  package static let programAdvice =
    "The program ended its run with a code of its own: see what it says."

  /// The program ended its run with a code of its own, of `programCodes`.
  /// - Returns: nil for another code.
  package init?(programCode: UInt32, _ message: String) {
    guard Self.programCodes.contains(programCode) else { return nil }
    self.init(.explicitOrchFatal, message)
    self.programCode = programCode
  }

  /// `programCode` if there is one, else that of `code`: what C and reports are told.
  public var number: UInt32 { programCode ?? code.rawValue }
  /// The name that belongs to `number`.
  public var name: String { programCode == nil ? code.name : Self.programName }
  /// The exit status of a process that ends with this error.
  public var exitStatus: Int32 {
    programCode.map { 80 + Int32($0 - Self.programCodes.lowerBound) } ?? code.exitStatus
  }

  /// The error of a closure of the program: itself, or `explicitOrchFatal` around it.
  package init(ofProgram error: any Error) {
    self =
      error as? PTO2Error
      ?? PTO2Error(.explicitOrchFatal, "the program failed: \(error)", underlying: error)
  }

  public var description: String { "error \(number) \(name): \(message)" }
}
