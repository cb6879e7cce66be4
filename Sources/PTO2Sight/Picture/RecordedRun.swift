internal import CPTO2Segment
package import PTO2Protocol
package import PTO2Segment
internal import PTO2System

/// The tasks of a session in the order of their submission, as its rings still hold them.
package struct RecordedRun: Sendable {
  package struct Tensor: Sendable {
    /// `PTO2_INPUT` and its kin.
    package var access: UInt8
    package var type: DataType
    /// Of the first element, in the segment.
    package var offset: UInt64
    package var shape: [Int]
    package var strides: [Int]

    package var isEmpty: Bool { shape.contains(0) }

    /// Bytes from the first element to the end of the last one.
    package var bytes: UInt64 {
      if isEmpty { return 0 }
      let last = zip(shape, strides).reduce(0) { $0 + ($1.0 - 1) * $1.1 }
      return UInt64(last + 1) * UInt64(type.byteCount)
    }

    package var isContiguous: Bool {
      var expected = 1
      for (extent, stride) in zip(shape, strides).reversed() where extent != 1 {
        if stride != expected { return false }
        expected *= extent
      }
      return true
    }
  }

  package struct Predicate: Sendable {
    package var type: DataType
    package var offset: UInt64
    package var comparison: Comparison
    package var bits: UInt64

    /// What it looks at.
    package var element: Tensor {
      Tensor(access: 0, type: type, offset: offset, shape: [1], strides: [1])
    }
  }

  package struct Task: Sendable {
    package var id: TaskID
    package var depth: Int
    /// Empty for none.
    package var scopeName = ""
    package var name = ""
    package var flags: SlotFlags
    package var blocks: BlockWord
    package var kernels: [(slot: Int, name: String)] = []
    package var tensors: [Tensor] = []
    package var scalars: [UInt64] = []
    package var producers: [FaninWord] = []
    package var predicate: Predicate?
  }

  package enum Event: Sendable {
    case task(Task)
    /// The scope at this depth has ended, which held tasks.
    case scopeEnd(depth: Int)
  }

  package var configuration: Configuration
  package var images: [String] = []
  package var events: [Event] = []
  /// What has ended the session, if something has.
  package var error: ErrorFacts?
  /// Of the heaps, by ring, and of everything before the arena.
  package var heaps: [Range<UInt64>] = []
}

/// Why a run cannot be recorded.
package struct RecordingError: Error, CustomStringConvertible {
  package var description: String
}

extension PictureReader {
  /// - Throws: what the rings no longer hold, and which size would have held it.
  package func recordedRun() throws(RecordingError) -> RecordedRun {
    let picture = self.picture()
    if let damage = picture.damage.first { throw RecordingError(description: damage) }
    var run = RecordedRun(configuration: configuration)
    run.images = picture.session.images
    run.error = picture.orchestrator.error ?? picture.scheduler.error
    run.heaps = configuration.rings.indices.map {
      let section = layout.section(.heap, ring: $0)
      return section.offset..<section.offset + section.bytes
    }
    let first = configuration.firstPosition
    let submitted = picture.log.submitted &- first
    guard submitted <= configuration.logCapacity else {
      throw RecordingError(
        description:
          "the submission log has had \(submitted) records and keeps \(configuration.logCapacity): larger task windows make it larger, up to 65536"
      )
    }
    copy.copyRecords(.submissionLog, first: first, count: submitted)
    for ring in picture.rings { try copyWhole(ring, first) }
    var depths: [UInt64: Int] = [:]
    for position in 0..<submitted {
      let record = copy.log[first &+ position].content
      guard record.ring < picture.rings.count else { throw damaged("the submission log") }
      let id = TaskID(ring: Int(record.ring), local: record.id)
      if record.kind == PTO2_LOG_SCOPE_END {
        guard let depth = depths[id.rawValue] else { throw damaged("the end of a scope") }
        run.events.append(.scopeEnd(depth: depth))
        continue
      }
      let task = try recordedTask(id)
      depths[id.rawValue] = task.depth
      run.events.append(.task(task))
    }
    return run
  }

  private func damaged(_ what: String) -> RecordingError {
    RecordingError(description: "\(what) contradicts the rest of the segment")
  }

  private func copyWhole(_ ring: RingPicture, _ first: UInt32) throws(RecordingError) {
    let count = ring.current &- first
    func lost(_ what: String, _ option: String) -> RecordingError {
      RecordingError(
        description:
          "ring \(ring.index) has had \(count) tasks, and no longer holds \(what) of all of them: run it again with a larger \(option)"
      )
    }
    guard count <= ring.sizes.taskWindow else {
      throw lost("the records (\(ring.sizes.taskWindow))", "--task-window")
    }
    if count == 0 { return }
    copy.copyRecords(.mainRing, ring: ring.index, first: first, count: count)
    copy.copyRecords(.dispatchTable, ring: ring.index, first: first, count: count)
    let table = copy.mainRing(ring.index)
    var payload: UInt64 = 0
    var (fanin, end) = (table[first].faninFirst, table[first].faninFirst)
    for place in 0..<count {
      let slot = table[first &+ place].header
      guard slot.task_id == TaskID(ring: ring.index, local: first &+ place).rawValue,
        slot.tensor_count <= PTO2_MAX_TENSORS, slot.scalar_count <= PTO2_MAX_SCALARS
      else { throw damaged("the slot of task \(ring.index):\(first &+ place)") }
      payload += UInt64(
        PayloadShape(tensors: Int(slot.tensor_count), scalars: Int(slot.scalar_count))
          .bytes(hasPredicate: slot.flags & UInt8(PTO2_SLOT_PREDICATE) != 0))
      end = slot.fanin_first &+ slot.fanin_count
    }
    guard payload <= ring.sizes.payloadBytes else { throw lost("the tensors", "--task-window") }
    fanin = end &- fanin
    guard fanin <= ring.sizes.dependencyPool else { throw lost("the producers", "--dep-pool") }
    copy.copyRecords(
      .fanin, ring: ring.index, first: table[first].faninFirst, count: fanin)
  }

  private func isInside(_ offset: UInt64, _ bytes: UInt64) -> Bool {
    offset <= layout.totalBytes && bytes <= layout.totalBytes - offset
  }

  private func recordedTask(_ id: TaskID) throws(RecordingError) -> RecordedRun.Task {
    let slot = copy.mainRing(id.ring)[id.local].header
    guard slot.task_id == id.rawValue,
      ScopePlace(rawValue: slot.scope).depth <= Int(PTO2_MAX_SCOPE_DEPTH),
      slot.fanin_count <= configuration.rings[id.ring].dependencyPool,
      let payload = copy.copiedPayload(id)
    else { throw damaged("the slot of task \(id)") }
    var task = RecordedRun.Task(
      id: id, depth: ScopePlace(rawValue: slot.scope).depth, flags: SlotFlags(rawValue: slot.flags),
      blocks: BlockWord(bits: slot.blocks))
    let names = names(ScopePlace(rawValue: slot.scope).name)
    (task.scopeName, task.name) = (names.scope ?? "", names.task ?? "")
    let ids = [slot.kernel_ids.0, slot.kernel_ids.1, slot.kernel_ids.2]
    for place in 0..<3 where slot.active_mask >> UInt8(place) & 1 == 1 {
      task.kernels.append((place, kernelName(Int(ids[place]))))
    }
    for index in 0..<Int(slot.tensor_count) {
      guard let tensor = RecordedRun.Tensor(payload.tensor(index)),
        isInside(tensor.offset, tensor.bytes)
      else { throw damaged("tensor \(index) of task \(id)") }
      task.tensors.append(tensor)
    }
    let arguments = unsafe payload.arguments(of: copy.descriptors(id.ring)[id.local])
    for index in 0..<Int(slot.scalar_count) {
      task.scalars.append(unsafe arguments[Int(slot.tensor_count) + index])
    }
    let pool = copy.fanin(id.ring)
    task.producers = (0..<slot.fanin_count).map { pool[slot.fanin_first &+ $0].word }
    if task.flags.contains(.predicate) {
      let record = payload.predicate
      guard let type = DataType(rawValue: record.dtype),
        let comparison = Comparison(rawValue: record.comparison),
        isInside(record.offset, UInt64(type.byteCount))
      else { throw damaged("the predicate of task \(id)") }
      task.predicate = .init(
        type: type, offset: record.offset, comparison: comparison, bits: record.value)
    }
    return task
  }
}

extension RecordedRun.Tensor {
  fileprivate init?(_ record: pto2_tensor) {
    guard let type = DataType(rawValue: record.dtype), record.rank <= PTO2_MAX_RANK,
      record.access < PTO2_NO_DEP_CREATED.rawValue
    else { return nil }
    let extents = [
      record.shape.0, record.shape.1, record.shape.2, record.shape.3, record.shape.4,
    ]
    let strides = [
      record.strides.0, record.strides.1, record.strides.2, record.strides.3, record.strides.4,
    ]
    let rank = Int(record.rank)
    guard strides.prefix(rank).allSatisfy({ $0 >= 0 }) else { return nil }
    self.init(
      access: record.access, type: type, offset: record.offset,
      shape: extents.prefix(rank).map { Int($0) }, strides: strides.prefix(rank).map { Int($0) })
    // More than there can be.
    guard shape.reduce(1.0, { $0 * Double(max(1, $1)) }) < 0x1p32,
      zip(shape, self.strides).allSatisfy({ $0.0 == 0 || ($0.0 - 1) * $0.1 < 1 << 42 })
    else { return nil }
  }
}

extension RecordedRun {
  package var taskCount: Int { events.count { if case .task = $0 { true } else { false } } }
}
