public import PTO2Protocol
package import PTO2Segment

/// A kernel that tasks can run: found by name in a kernel image.
@frozen
public struct Kernel: Sendable {
  /// The kind of core a kernel runs on.
  public enum CoreType: UInt32, Sendable {
    /// Matrix core.
    case aic = 0
    /// Vector core.
    case aiv = 1
    /// Either, as each task says that it puts the kernel in a matrix or a vector place.
    case any = 2
  }

  package var call: UInt64
  package var id: UInt16
  /// As its image's table says.
  public let coreType: CoreType

  package init(call: UInt64, id: UInt16, coreType: CoreType) {
    self.call = call
    self.id = id
    self.coreType = coreType
  }
}

/// How much a line that a program logs matters; the first matters most.
public enum LogLevel: Int, Sendable, CaseIterable, Comparable {
  case error = 0
  case warning
  case info
  case debug

  public static func < (a: LogLevel, b: LogLevel) -> Bool { a.rawValue < b.rawValue }
}

/// Where the order of a scope's tasks comes from.
public enum ScopeMode: Sendable {
  /// From the tensors, and from explicit dependencies.
  case automatic
  /// From explicit dependencies alone: tensors are neither looked up nor
  /// remembered. A tensor from the heap still waits for the task that put it
  /// out, and holds its memory.
  case manual
}

/// The graph of tasks a program builds while it runs.
///
/// Tasks start as soon as their producers are done; submission blocks only
/// while a ring is full. Dependencies follow from the tensors: read after
/// write, write after write and write after read, views included. Use it from
/// one thread. After an error every call throws that same first error.
@safe public final class Graph {
  package let orchestrator: UnsafeMutablePointer<Orchestrator>
  private let kernels: [String: Kernel]
  /// Lines a program adds to the run's report, in order.
  package private(set) var reportLines: [(label: String, value: String)] = []
  package var progressHandler: ((String, Double) -> Void)?
  package var logHandler: ((LogLevel, String) -> Void)?
  package var waitHandler: (() -> Bool)? {
    didSet { unsafe orchestrator.pointee.waiting.handler = waitHandler }
  }

  package init(_ orchestrator: consuming Orchestrator, images: [KernelImage]) throws(PTO2Error) {
    var kernels: [String: Kernel] = [:]
    var id: UInt16 = 0
    for (index, image) in images.enumerated() {
      for kernel in image.kernels {
        kernels[kernel.name] = Kernel(
          call: CallWord(image: index, offset: kernel.offset).rawValue, id: id,
          coreType: Kernel.CoreType(rawValue: kernel.coreType) ?? .any)
        id += 1
      }
    }
    self.kernels = kernels
    unsafe self.orchestrator = .allocate(capacity: 1)
    unsafe self.orchestrator.initialize(to: orchestrator)
  }

  deinit {
    unsafe orchestrator.pointee.trace.deallocate()
    unsafe orchestrator.deinitialize(count: 1)
    unsafe orchestrator.deallocate()
  }

  /// For a new run: forgets what the program of the last one has added.
  package func begin() { reportLines = [] }

  /// Looks a kernel up by the name in its image's table.
  /// - Throws: `invalidArgs`, naming what there is.
  public func kernel(_ name: String) throws(PTO2Error) -> Kernel {
    if let kernel = kernels[name] { return kernel }
    let known = kernels.keys.sorted().joined(separator: ", ")
    throw unsafe orchestrator.pointee.fault.raise(
      PTO2Error(
        .invalidArgs,
        "no kernel \"\(name)\" in the images of this run; there is \(known.isEmpty ? "none" : known)"
      ))
  }

  /// Clusters of the session: one AIC and two AIV each.
  public var clusterCount: Int {
    unsafe Int(orchestrator.pointee.segment.configuration.clusters)
  }
  /// Cores of the session: three for each cluster.
  public var coreCount: Int { unsafe orchestrator.pointee.segment.configuration.coreCount }

  /// Which of the ranks that run this program together this one is: 0 where it is alone.
  public var rank: Int { unsafe orchestrator.pointee.ranks.own }
  /// How many ranks run this program together, under mpirun(1); otherwise 1.
  public var ranks: Int { unsafe orchestrator.pointee.ranks.count }

  /// Opens a scope, runs the closure, ends the scope. Outputs of tasks
  /// submitted inside live until the scope's end at least. Scopes nest up to
  /// 64 deep; each depth up to the last ring has rings of its own.
  /// - Parameter mode: for tasks submitted directly in this scope; a scope
  ///   inside it has its own.
  /// - Throws: what the closure throws, as `explicitOrchFatal` with it as `underlying`
  ///   unless it is a `PTO2Error`; `invalidArgs` for scopes nested too deep.
  public func scope<Result>(_ mode: ScopeMode = .automatic, _ body: () throws -> Result)
    throws(PTO2Error) -> Result
  {
    try beginScope(mode)
    return try endScope(after: body)
  }

  /// The same with a name, which `pto2 stuck`, `stat`, `inspect` and traces show. Scopes of a
  /// name are counted together; one without takes the name of the scope around it.
  /// - Parameter name: 60 bytes of it are kept. A session has room for 511 names, those of
  ///   tasks among them: scopes of more are unnamed.
  public func scope<Result>(
    _ name: String, _ mode: ScopeMode = .automatic, _ body: () throws -> Result
  ) throws(PTO2Error) -> Result {
    try beginScope(name, mode)
    return try endScope(after: body)
  }

  /// The same on a rank: tasks run there unless the bytes that they use, or the program, say
  /// something else. The scopes inside it are on that rank as well.
  /// - Throws: also `invalidArgs` for a rank that there is not.
  public func scope<Result>(
    on rank: Int, _ mode: ScopeMode = .automatic, _ body: () throws -> Result
  ) throws(PTO2Error) -> Result {
    unsafe try orchestrator.pointee.checkRank(rank)
    try beginScope(mode)
    unsafe orchestrator.pointee.scopes.setRank(rank)
    return try endScope(after: body)
  }

  /// A part of the program that one rank alone goes through: the closure is called on that
  /// rank, and the others go on at once. It saves them the cost of seeing its tasks; with many
  /// ranks that is most of what a rank does. Of tensors from outside the tasks in it use what
  /// it says here, which is checked; what they put out ends with it.
  ///
  ///     for block in 0..<blocks {
  ///       try graph.scope(on: block % graph.ranks, reads: [halo[block]], writes: [tile[block]]) {
  ///         ...
  ///       }
  ///     }
  /// - Parameters:
  ///   - reads: what is read, in views without gaps.
  ///   - writes: what is written, and may be read.
  /// - Throws: what the closure throws; `invalidArgs` for a rank that there is not, for such a
  ///   scope inside another, and, on that rank, for what a task uses and is not said here.
  public func scope(
    on rank: Int, reads: [AnyTensor], writes: [AnyTensor], _ body: () throws -> Void
  ) throws(PTO2Error) {
    guard
      unsafe try orchestrator.pointee.beginRankScope(on: rank, reads: reads, writes: writes)
    else { return }
    do { try body() } catch {
      try? unsafe orchestrator.pointee.endRankScope()
      throw PTO2Error(ofProgram: error)
    }
    unsafe try orchestrator.pointee.endRankScope()
  }

  /// The first half of it, with a name.
  package func beginScope(_ name: String, _ mode: ScopeMode, on rank: Int) throws(PTO2Error) {
    unsafe try orchestrator.pointee.checkRank(rank)
    try beginScope(name, mode)
    unsafe orchestrator.pointee.scopes.setRank(rank)
  }

  private func endScope<Result>(after body: () throws -> Result) throws(PTO2Error) -> Result {
    let result: Result
    do { result = try body() } catch {
      try? unsafe orchestrator.pointee.endScope()
      throw PTO2Error(ofProgram: error)
    }
    unsafe try orchestrator.pointee.endScope()
    return result
  }

  /// The first half of `scope`, for callers that cannot pass a closure.
  /// - Throws: `invalidArgs` for scopes nested too deep.
  public func beginScope(_ mode: ScopeMode = .automatic) throws(PTO2Error) {
    unsafe try orchestrator.pointee.refuseInRecording("a scope")
    unsafe try orchestrator.pointee.beginScope(isManual: mode == .manual)
  }
  /// The same with a name.
  public func beginScope(_ name: String, _ mode: ScopeMode = .automatic) throws(PTO2Error) {
    unsafe try orchestrator.pointee.refuseInRecording("a scope")
    unsafe try orchestrator.pointee.beginScope(isManual: mode == .manual, named: name)
  }
  /// The second half: ends the innermost scope.
  /// - Throws: `invalidArgs` when the program has begun none.
  public func endScope() throws(PTO2Error) {
    unsafe try orchestrator.pointee.refuseInRecording("the end of a scope")
    unsafe try orchestrator.pointee.endScope()
  }

  /// Ends the run: `try graph.fail("element 7 is wrong")`.
  /// - Throws: `explicitOrchFatal`, or the run's first error if there was one before.
  public func fail(_ message: String) throws(PTO2Error) -> Never {
    throw unsafe orchestrator.pointee.fault.raise(PTO2Error(.explicitOrchFatal, message))
  }

  /// Ends the run with a code of the program's own, which its exit status and report say.
  /// - Parameter code: of `PTO2Error.programCodes`.
  /// - Throws: `explicitOrchFatal` with it as `programCode`, or the run's first error if
  ///   there was one before; `invalidArgs` for another code.
  public func fail(_ message: String, code: UInt32) throws(PTO2Error) -> Never {
    let codes = PTO2Error.programCodes
    throw unsafe orchestrator.pointee.fault.raise(
      PTO2Error(programCode: code, message)
        ?? PTO2Error(
          .invalidArgs,
          "a program's own codes are \(codes.lowerBound) to \(codes.upperBound), not \(code): \(message)"
        ))
  }

  /// Says something to whoever watches the run: see `Session.logHandler`. Changes nothing,
  /// also after an error.
  public func log(_ level: LogLevel, _ text: String) { logHandler?(level, text) }

  /// Adds a line to the run's report.
  public func report(_ label: String, _ value: String) { reportLines.append((label, value)) }

  /// Tells how far the program is: a few words and a fraction from 0 to 1.
  /// Cheap; see `Session.progressHandler`.
  public func progress(_ text: String, _ fraction: Double) { progressHandler?(text, fraction) }
}
