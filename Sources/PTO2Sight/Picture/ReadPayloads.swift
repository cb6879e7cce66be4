internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2Segment

/// What payloads say: outputs and predicates.
extension PictureReader {
  /// For the oldest tasks of each ring, of which a diagnosis may speak, and the first that
  /// have a predicate or are transfers.
  func readPayloads(_ picture: inout Picture) {
    for ring in picture.rings.indices {
      let (consumed, released) = (picture.rings[ring].consumed, picture.rings[ring].released)
      var (predicates, transfers) = (0, 0)
      for index in picture.rings[ring].tasks.indices {
        let task = picture.rings[ring].tasks[index]
        let isOldest = task.id.local == consumed || task.id.local == released
        let hasPredicate = task.flags.contains(.predicate) && predicates < 16
        let isTransfer = task.flags.contains(.transfer) && transfers < 64
        guard isOldest || hasPredicate || isTransfer else { continue }
        if hasPredicate { predicates += 1 }
        if isTransfer { transfers += 1 }
        picture.rings[ring].tasks[index] = detailed(task)
      }
    }
  }

  /// The same task with what its payload says, if that is still there.
  package func detailed(_ task: TaskPicture) -> TaskPicture {
    var task = task
    guard task.id.ring < copy.configuration.rings.count,
      copy.mainRing(task.id.ring)[task.id.local].taskID == task.id,
      let payload = copy.copiedPayload(task.id)
    else { return task }
    let slot = copy.mainRing(task.id.ring)[task.id.local].header
    task.outputs = (0..<Int(slot.tensor_count)).compactMap { index in
      let tensor = payload.tensor(index)
      // A payload that is another's by now names no output of this task.
      guard tensor.access == PTO2_OUTPUT.rawValue, tensor.offset >= slot.output_offset,
        tensor.offset &- slot.output_offset <= slot.heap_end &- slot.heap_begin,
        slot.output_offset != 0
      else { return nil }
      return text(of: tensor)
    }
    if slot.flags & UInt8(PTO2_SLOT_PREDICATE) != 0, task.state != .released {
      task.predicate = predicate(payload.predicate)
    }
    if slot.flags & UInt8(PTO2_SLOT_TRANSFER) != 0, task.state != .released,
      Int(slot.scalar_count) == Int(PTO2_TRANSFER_SCALARS)
    {
      let words = unsafe payload.arguments(of: copy.descriptors(task.id.ring)[task.id.local])
      let first = Int(slot.tensor_count)
      task.transfer = TransferOrder(
        scalars: unsafe (words[first], words[first + 1], words[first + 2]),
        ranks: Int(copy.configuration.ranks))
    }
    return task
  }

  /// Such as `int64[4, 128]`; nil for what is no tensor.
  private func text(of tensor: pto2_tensor) -> String? {
    guard let type = DataType(rawValue: tensor.dtype), tensor.rank <= PTO2_MAX_RANK else {
      return nil
    }
    let all = [
      tensor.shape.0, tensor.shape.1, tensor.shape.2, tensor.shape.3, tensor.shape.4,
    ]
    return "\(type)[" + all.prefix(Int(tensor.rank)).map(String.init).joined(separator: ", ") + "]"
  }

  private func predicate(_ record: pto2_slot_predicate) -> PredicatePicture? {
    guard let type = DataType(rawValue: record.dtype),
      let comparison = Comparison(rawValue: record.comparison)
    else { return nil }
    let bits = copy.element(at: record.offset, bytes: type.byteCount)
    let element = bits.map { Number(bits: $0, type) }
    let value = Number(valueOf: record.value, type)
    return PredicatePicture(
      type: type, comparison: comparison, element: element?.text, value: value.text,
      isTrue: element.map { $0.compares(comparison, to: value) })
  }
}

/// An element, or what it is compared with: integers wider than any, real types as doubles.
private enum Number {
  case integer(Int64)
  case unsigned(UInt64)
  case real(Double)

  init(bits: UInt64, _ type: DataType) {
    self =
      switch type {
      case .float32: .real(Double(Float(bitPattern: UInt32(truncatingIfNeeded: bits))))
      case .float16: .real(Double(Float16(bitPattern: UInt16(truncatingIfNeeded: bits))))
      case .bfloat16: .real(Double(Float(bitPattern: UInt32(truncatingIfNeeded: bits) << 16)))
      case .int8: .integer(Int64(Int8(truncatingIfNeeded: bits)))
      case .int16: .integer(Int64(Int16(truncatingIfNeeded: bits)))
      case .int32: .integer(Int64(Int32(truncatingIfNeeded: bits)))
      case .int64: .integer(Int64(bitPattern: bits))
      case .uint8: .integer(Int64(UInt8(truncatingIfNeeded: bits)))
      case .uint16: .integer(Int64(UInt16(truncatingIfNeeded: bits)))
      case .uint32: .integer(Int64(UInt32(truncatingIfNeeded: bits)))
      case .uint64: .unsigned(bits)
      case .bool: .integer(bits & 0xFF == 0 ? 0 : 1)
      case .float8E4M3FN: .real(Double(Float8.e4m3(UInt8(truncatingIfNeeded: bits))))
      case .float8E5M2: .real(Double(Float8.e5m2(UInt8(truncatingIfNeeded: bits))))
      }
  }

  /// The value of a predicate: an int64, or a double for real types.
  init(valueOf bits: UInt64, _ type: DataType) {
    self = type.isReal ? .real(Double(bitPattern: bits)) : .integer(Int64(bitPattern: bits))
  }

  var text: String {
    switch self {
    case .integer(let value): "\(value)"
    case .unsigned(let value): "\(value)"
    case .real(let value): "\(value)"
    }
  }

  func compares(_ comparison: Comparison, to other: Number) -> Bool {
    switch (self, other) {
    case (.real(let a), .real(let b)): Self.holds(comparison, a, b)
    case (.integer(let a), .integer(let b)): Self.holds(comparison, a, b)
    case (.unsigned(let a), .integer(let b)):
      b < 0 ? Self.holds(comparison, 1, 0) : Self.holds(comparison, a, UInt64(b))
    default: false
    }
  }

  private static func holds<Value: Comparable>(_ comparison: Comparison, _ a: Value, _ b: Value)
    -> Bool
  {
    switch comparison {
    case .equal: a == b
    case .notEqual: a != b
    case .greater: a > b
    case .less: a < b
    case .greaterOrEqual: a >= b
    case .lessOrEqual: a <= b
    }
  }
}
