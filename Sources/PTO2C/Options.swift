internal import CPTO2
internal import PTO2
internal import PTO2Protocol
internal import PTO2System

/// Texts of a C array; copies.
func texts(
  _ list: UnsafePointer<UnsafePointer<CChar>?>?, count: UInt32, _ what: String
) throws(PTO2Error) -> [String] {
  guard count > 0 else { return [] }
  guard let list = unsafe list, count <= UInt32(PTO2_MAX_IMAGES) else {
    throw PTO2Error(.invalidArgs, "\(count) \(what): expected at most \(PTO2_MAX_IMAGES)")
  }
  var texts: [String] = []
  for index in 0..<Int(count) {
    guard let text = unsafe list[index] else {
      throw PTO2Error(.invalidArgs, "\(what): number \(index) is NULL")
    }
    texts.append(unsafe String(cString: text))
  }
  return texts
}

extension Configuration {
  /// What a program asked for; 0 is the default.
  init(_ options: pto2_session_options) throws(PTO2Error) {
    self.init()
    func text(_ pointer: UnsafePointer<CChar>?) -> String? {
      unsafe pointer.map { unsafe String(cString: $0) }
    }
    /// A limit of time that has a default, `nil` being none.
    func limit(_ nanoseconds: UInt64, _ standard: Duration?) -> Duration? {
      switch nanoseconds {
      case 0: standard
      case UInt64.max: nil
      default: .nanoseconds(Int64(clamping: nanoseconds))
      }
    }
    let flags = unsafe options.flags
    let known = UInt32(
      PTO2_OPEN_SIGNALS | PTO2_OPEN_DRAIN | PTO2_OPEN_MEMFD | PTO2_OPEN_NO_LAUNCH
        | PTO2_OPEN_CONFINE | PTO2_OPEN_TRACE_EDGES)
    guard flags & ~known == 0 else {
      throw PTO2Error(
        .invalidArgs, "flags \(flags) of pto2_session_options: this runtime knows \(known)")
    }
    handlesSignals = flags & UInt32(PTO2_OPEN_SIGNALS) != 0
    drainsAfterDeath = flags & UInt32(PTO2_OPEN_DRAIN) != 0
    launchesProcesses = flags & UInt32(PTO2_OPEN_NO_LAUNCH) == 0
    confinesWorkers = flags & UInt32(PTO2_OPEN_CONFINE) != 0
    if let pin = unsafe text(options.pin) { workerPlacement = try WorkerPlacement(pin) }
    let name = unsafe text(options.segment)
    if flags & UInt32(PTO2_OPEN_MEMFD) == 0 {
      segment = name.map { .named($0) } ?? .fresh
    } else {
      if let name {
        throw PTO2Error(.invalidArgs, "a memfd has no name in /dev/shm: leave out \(name)")
      }
      segment = .memfd
    }
    directories.executables = unsafe text(options.executables) ?? installedExecutables()
    if unsafe options.clusters > 0 { clusters = unsafe Int(options.clusters) }
    if unsafe options.lanes > 0 { lanes = unsafe Int(options.lanes) }
    if unsafe options.scheduler_threads > 0 {
      schedulerThreads = unsafe Int(options.scheduler_threads)
    }
    if unsafe options.tensor_map_entries > 0 {
      tensorMapRanges = unsafe Int(options.tensor_map_entries)
    }
    if unsafe options.arena_bytes > 0 { arenaBytes = unsafe Int(clamping: options.arena_bytes) }
    rings = try unsafe Self.rings(options) ?? rings
    limits.attachTimeout =
      unsafe limit(options.attach_timeout_nanoseconds, limits.attachTimeout) ?? .seconds(86400)
    limits.stallLimit = unsafe limit(options.stall_limit_nanoseconds, nil)
    limits.kernelDeadline = unsafe limit(options.kernel_deadline_nanoseconds, nil)
    limits.stopGrace = unsafe limit(options.stop_grace_nanoseconds, limits.stopGrace)
    constants = unsafe try Self.constants(options)
    if let file = unsafe text(options.trace) {
      var trace = Trace(file: file)
      if unsafe options.trace_buffer_bytes > 0 {
        trace.bufferBytes = unsafe Int(clamping: options.trace_buffer_bytes)
      }
      trace.hasEdges = flags & UInt32(PTO2_OPEN_TRACE_EDGES) != 0
      self.trace = trace
    }
  }

  private static func constants(_ options: pto2_session_options) throws(PTO2Error) -> [UInt8] {
    let bytes = unsafe options.constant_bytes
    guard bytes > 0 else { return [] }
    guard let start = unsafe options.constants, bytes <= 64 << 20 else {
      throw PTO2Error(
        .invalidArgs,
        "\(bytes) bytes of constants\(unsafe options.constants == nil ? " at NULL" : ""): expected an address, and at most 64 MiB"
      )
    }
    return unsafe [UInt8](UnsafeRawBufferPointer(start: start, count: Int(bytes)))
  }

  /// - Returns: nil for the default.
  private static func rings(_ options: pto2_session_options) throws(PTO2Error) -> [Ring]? {
    let count = unsafe options.ring_count
    guard let records = unsafe options.rings else {
      return count == 0 ? nil : [Ring](repeating: Ring(), count: Int(min(count, 1 << 10)))
    }
    let list = unsafe try CRecords(records, count: count, "pto2_ring_options")
    var rings: [Ring] = []
    for index in 0..<min(list.count, 1 << 10) {
      var record = pto2_ring_options()
      unsafe try CRecord.copy(
        list.at(index), into: &record, least: CRecord.ringOptionsBytes, "pto2_ring_options")
      var ring = Ring()
      if record.task_window > 0 { ring = Ring(taskWindow: Int(record.task_window)) }
      if record.consumed_window > 0 { ring.consumedWindow = Int(record.consumed_window) }
      if record.dependency_pool > 0 { ring.dependencyPool = Int(record.dependency_pool) }
      if record.heap_bytes > 0 { ring.heapBytes = Int(clamping: record.heap_bytes) }
      rings.append(ring)
    }
    return rings
  }
}

/// Where the executables lie that were installed with this library: in `../bin` or beside
/// it; nil where PTO2_BIN_DIR says otherwise, and where there are none.
private func installedExecutables() -> String? {
  let here: @convention(c) () -> Void = {}
  guard environment("PTO2_BIN_DIR") == nil,
    let object = unsafe LoadedImage.object(
      containing: unsafeBitCast(here, to: UnsafeRawPointer.self)),
    let library = resolvedPath(object.path), let slash = library.lastIndex(of: "/")
  else { return nil }
  let folder = String(library[..<slash])
  return [folder + "/../bin", folder].first { isAccessible($0 + "/pto2-scheduler", execute: true) }
}
