import Glibc

/// The fuzzer's bytes, read from the front; zeros beyond the end.
struct Input {
  private let bytes: UnsafeBufferPointer<UInt8>
  private var position = 0

  init(_ bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

  var isEmpty: Bool { position >= bytes.count }

  mutating func byte() -> UInt8 {
    guard position < bytes.count else { return 0 }
    position += 1
    return bytes[position - 1]
  }

  /// True when that byte is the next one, which is read then.
  mutating func takes(_ byte: UInt8) -> Bool {
    guard !isEmpty, bytes[position] == byte else { return false }
    position += 1
    return true
  }

  mutating func number<Value: FixedWidthInteger>(_ type: Value.Type = Value.self) -> Value {
    var value: Value = 0
    for shift in stride(from: 0, to: Value.bitWidth, by: 8) {
      value |= Value(truncatingIfNeeded: byte()) << Value(shift)
    }
    return value
  }

  /// Below `count`.
  mutating func index(_ count: Int) -> Int { Int(byte()) % count }

  /// A number that is often close to `near`, or to a limit of 32 bits.
  mutating func value(near: UInt32 = 0) -> UInt32 {
    let kind = byte()
    let distance = UInt32(bitPattern: Int32(Int8(bitPattern: byte())))
    switch kind % 8 {
    case 0: return near &+ distance
    case 1: return distance
    case 2: return 1 << UInt32(distance & 31)
    case 3: return (1 << UInt32(distance & 31)) &- 1
    case 4: return 0x8000_0000 &+ distance
    case 5: return near ^ (1 << UInt32(distance & 31))
    default: return number()
    }
  }
}

/// What a seed corpus is written with: the reverse of `Input`.
struct Output {
  private(set) var bytes: [UInt8] = []
  mutating func put(_ values: UInt8...) { bytes += values }
  mutating func number<Value: FixedWidthInteger>(_ value: Value) {
    for shift in stride(from: 0, to: Value.bitWidth, by: 8) {
      bytes.append(UInt8(truncatingIfNeeded: value >> Value(shift)))
    }
  }
}

/// A property does not hold: libFuzzer takes the end of the process for a crash
/// and keeps the input.
func broken(_ what: @autoclosure () -> String) -> Never {
  fatalError("PROPERTY: " + what())
}

@inline(__always)
func expect(_ condition: Bool, _ what: @autoclosure () -> String) {
  if !condition { broken(what()) }
}

/// One kind of input and what is done with it.
protocol FuzzTarget: AnyObject {
  init() throws
  func run(_ input: inout Input) throws
  /// Inputs to start from.
  static var seeds: [[UInt8]] { get }
}
