internal import CPTO2
internal import PTO2
internal import PTO2Protocol

/// What stands behind a `pto2_session *`.
@safe final class CSession {
  private let session: Session
  private let kernels = CKernels()
  /// Of the last run.
  private(set) var error: PTO2Error?

  init(_ options: UnsafePointer<pto2_session_options>?) throws(PTO2Error) {
    var record = unsafe pto2_session_options()
    unsafe try CRecord.copy(
      options, into: &record, least: CRecord.sessionOptionsBytes, "pto2_session_options")
    let images = unsafe try texts(record.images, count: record.image_count, "images")
    session = try Session(unsafe Configuration(record), images: images)
  }

  /// Valid until `release`.
  func retained() -> OpaquePointer {
    unsafe OpaquePointer(Unmanaged.passRetained(self).toOpaque())
  }

  static func of(_ handle: OpaquePointer) -> CSession {
    unsafe Unmanaged<CSession>.fromOpaque(UnsafeRawPointer(handle)).takeUnretainedValue()
  }

  static func release(_ handle: OpaquePointer) {
    unsafe Unmanaged<CSession>.fromOpaque(UnsafeRawPointer(handle)).release()
  }

  func close() { session.close() }

  func onWait(_ ask: pto2_wait_function?, _ context: UnsafeMutableRawPointer?) {
    session.waitHandler = unsafe ask.map { ask in { unsafe ask(context) != 0 } }
  }

  /// Runs one graph; the error is kept.
  func run(
    _ build: pto2_run_function?, _ context: UnsafeMutableRawPointer?,
    _ report: UnsafeMutablePointer<pto2_report>?
  ) -> pto2_error {
    error = nil
    do throws(PTO2Error) {
      guard let build = unsafe build else {
        throw PTO2Error(.invalidArgs, "the function that builds the graph is NULL")
      }
      if let report = unsafe report {
        unsafe try CRecord.check(report, least: CRecord.reportBytes, "pto2_report")
      }
      defer { unsafe store(report) }
      try session.run { graph in
        unsafe try CGraph.run(graph, kernels: kernels) { api, graph in
          unsafe build(api, graph, context)
        }
      }
      return PTO2_ERROR_NONE
    } catch {
      self.error = error
      return pto2_error(error.number)
    }
  }

  private func store(_ target: UnsafeMutablePointer<pto2_report>?) {
    guard let target = unsafe target, let report = session.lastReport else { return }
    // Its size has been checked.
    try? unsafe CRecord.store(
      pto2_report(report), to: target, least: CRecord.reportBytes, "pto2_report")
  }
}

extension pto2_report {
  init(_ report: RunReport) {
    func nanoseconds(_ seconds: Double) -> UInt64 { UInt64(max(0, seconds * 1e9)) }
    self.init()
    worker_restarts = UInt32(clamping: report.workerRestarts)
    scheduler_restarts = UInt32(clamping: report.schedulerRestarts)
    self.nanoseconds = nanoseconds(report.seconds)
    graph_nanoseconds = nanoseconds(report.graphSeconds)
    tasks = UInt64(report.tasks)
    edges = UInt64(report.edges)
    kernels = UInt64(report.kernels)
    kernel_nanoseconds = nanoseconds(report.kernelSeconds)
    waits = report.stalls.reduce(0) { $0 + UInt64($1.count) }
    wait_nanoseconds = nanoseconds(report.stalls.reduce(0) { $0 + $1.seconds })
  }
}
