package import PTO2Protocol

/// Whose a trace buffer is.
package enum TraceSource: Equatable, Hashable, Sendable {
  case orchestrator
  case scheduler(thread: Int)
  case core(Int)

  /// Its place among the trace positions.
  package var index: Int {
    switch self {
    case .orchestrator: 0
    case .scheduler(let thread): TraceReader.firstThread + thread
    case .core(let core): TraceReader.firstCore + core
    }
  }

  fileprivate var section: (SectionKind, Int) {
    switch self {
    case .orchestrator: (.orchestratorTrace, 0)
    case .scheduler(let thread): (.schedulerTrace, thread)
    case .core(let core): (.coreTrace, core)
    }
  }
}

extension Configuration {
  package var isTraced: Bool { traceBytes > 0 }

  /// Those that there are, in order.
  package var traceSources: [TraceSource] {
    guard isTraced else { return [] }
    return [.orchestrator] + (0..<Int(schedulerThreads)).map { .scheduler(thread: $0) }
      + (0..<coreCount).map { .core($0) }
  }
}

/// Over all buffers of a session.
package struct TraceUse: Equatable, Sendable {
  package var written: UInt64 = 0
  package var dropped: UInt64 = 0

  package init() {}
}

extension SegmentLayout {
  /// First byte of a buffer, of a session that is traced.
  func traceOffset(_ source: TraceSource, bufferBytes: UInt64) -> UInt64 {
    let (kind, index) = source.section
    return section(kind).offset + UInt64(index) * bufferBytes
  }
}

extension Segment {
  func traceOffset(_ source: TraceSource) -> UInt64 {
    layout.traceOffset(source, bufferBytes: configuration.traceBytes)
  }

  private func takenOffset(_ source: TraceSource) -> Int {
    Int(layout.section(.tracePositions).offset) + source.index * MemoryLayout<UInt64>.stride
  }

  /// This role's own; of a core, after `openCore`. Off unless the session is traced.
  package func traceWriter(_ source: TraceSource) -> TraceWriter {
    guard configuration.isTraced else { return .off }
    let kind = source.section.0
    precondition(!kind.spec.writers.isDisjoint(with: role), "\(kind) has another writer")
    return unsafe TraceWriter(
      at: UnsafeMutableRawPointer(mutating: base + Int(traceOffset(source))),
      bytes: configuration.traceBytes,
      taken: base + takenOffset(source))
  }

  /// The orchestrator's process reads all of them.
  package func traceReader(_ source: TraceSource) -> TraceReader {
    precondition(configuration.isTraced && role == .orchestrator)
    return unsafe TraceReader(
      at: base + Int(traceOffset(source)), bytes: configuration.traceBytes,
      taken: UnsafeMutableRawPointer(mutating: base + takenOffset(source)))
  }
}
