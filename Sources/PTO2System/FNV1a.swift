/// FNV-1a (Fowler, Noll, Vo), 64 bits: identifies, does not protect.
package struct FNV1a {
  package private(set) var value: UInt64 = 0xcbf2_9ce4_8422_2325
  package init() {}

  package mutating func add(_ byte: UInt8) { value = (value ^ UInt64(byte)) &* 0x100_0000_01b3 }

  package mutating func add(_ text: String) { for byte in text.utf8 { add(byte) } }

  package mutating func add(_ number: UInt64) {
    for shift in stride(from: 0, to: 64, by: 8) { add(UInt8(truncatingIfNeeded: number >> shift)) }
  }

  /// The number as one step: quicker, and of another value than its bytes.
  package mutating func addWord(_ number: UInt64) {
    value = (value ^ number) &* 0x100_0000_01b3
    value ^= value >> 29
  }

  /// Of a file's contents; nil when it cannot be read.
  package static func ofFile(_ path: String) -> UInt64? {
    var hash = FNV1a()
    let isWhole = readPieces(path) {
      for byte in $0 { hash.add(byte) }
      return true
    }
    return isWhole ? hash.value : nil
  }
}
