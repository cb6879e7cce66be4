internal import PTO2System

/// The wire format of Protocol Buffers, as far as a trace needs it.
struct ProtoWriter {
  private(set) var bytes: [UInt8] = []

  mutating func removeAll() { bytes.removeAll(keepingCapacity: true) }

  mutating func varint(_ value: UInt64) {
    var value = value
    while value >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: value) | 0x80)
      value >>= 7
    }
    bytes.append(UInt8(truncatingIfNeeded: value))
  }

  mutating func uint(_ field: UInt64, _ value: UInt64) {
    varint(field << 3)
    varint(value)
  }

  /// `int64`: a negative one takes ten bytes.
  mutating func int(_ field: UInt64, _ value: Int64) { uint(field, UInt64(bitPattern: value)) }

  mutating func fixed64(_ field: UInt64, _ value: UInt64) {
    varint(field << 3 | 1)
    for shift in stride(from: UInt64(0), to: 64, by: 8) {
      bytes.append(UInt8(truncatingIfNeeded: value >> shift))
    }
  }

  mutating func text(_ field: UInt64, _ text: String) {
    varint(field << 3 | 2)
    varint(UInt64(text.utf8.count))
    bytes += text.utf8
  }

  mutating func message(_ field: UInt64, _ content: ProtoWriter) {
    varint(field << 3 | 2)
    varint(UInt64(content.bytes.count))
    bytes += content.bytes
  }

  mutating func message(_ field: UInt64, _ fill: (inout ProtoWriter) -> Void) {
    var content = ProtoWriter()
    fill(&content)
    message(field, content)
  }
}

/// A field as it stands in a message.
@safe enum ProtoValue {
  case number(UInt64)
  case bytes(UnsafeRawBufferPointer)

  var number: UInt64 { if case .number(let value) = self { value } else { 0 } }
  var signed: Int64 { Int64(bitPattern: number) }
  var message: UnsafeRawBufferPointer {
    if case .bytes(let bytes) = self {
      unsafe bytes
    } else {
      unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    }
  }
  var text: String { unsafe String(decoding: message, as: UTF8.self) }
}

/// Walks the fields of a message.
@safe struct ProtoReader {
  private let bytes: UnsafeRawBufferPointer
  private var place = 0
  /// It ends in the middle of a field, or has one of a kind that there is none of.
  private(set) var isBroken = false

  init(_ bytes: UnsafeRawBufferPointer) { unsafe self.bytes = bytes }

  private mutating func varint() -> UInt64? {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while unsafe place < bytes.count, shift < 64 {
      let byte = unsafe bytes[place]
      place += 1
      value |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return value }
      shift += 7
    }
    isBroken = true
    return nil
  }

  private mutating func skip(_ count: UInt64) -> Range<Int>? {
    guard unsafe count <= UInt64(bytes.count - place) else {
      isBroken = true
      return nil
    }
    let begin = place
    place += Int(count)
    return begin..<place
  }

  mutating func next() -> (field: UInt64, value: ProtoValue)? {
    guard unsafe place < bytes.count, !isBroken, let tag = varint() else { return nil }
    switch tag & 7 {
    case 0:
      guard let value = varint() else { return nil }
      return (tag >> 3, .number(value))
    case 1, 5:
      guard let range = skip(tag & 7 == 1 ? 8 : 4) else { return nil }
      var value: UInt64 = 0
      for index in range.reversed() { value = value << 8 | UInt64(unsafe bytes[index]) }
      return (tag >> 3, .number(value))
    case 2:
      guard let count = varint(), let range = skip(count) else { return nil }
      return (tag >> 3, unsafe .bytes(UnsafeRawBufferPointer(rebasing: bytes[range])))
    default:
      isBroken = true
      return nil
    }
  }
}
