internal import CPTO2
package import PTO2Protocol

/// Structs that begin with their own size, `uint32_t bytes`: between a program and a
/// runtime that were compiled with different versions of a header.
///
/// A record never shrinks and 0 in a new member means what was before. So what a program
/// leaves out is 0 here, and what it has beyond is refused unless it is 0.
@safe package enum CRecord {
  /// The first version's sizes: nothing shorter was ever right.
  static let argumentBytes: UInt32 = 48
  static let dependencyBytes: UInt32 = 16
  static let predicateBytes: UInt32 = 40
  static let submissionBytes: UInt32 = 112
  static let holesBytes: UInt32 = 32
  package static let errorInfoBytes: UInt32 = 512
  static let machineBytes: UInt32 = 24
  package static let ringOptionsBytes: UInt32 = 24
  package static let sessionOptionsBytes: UInt32 = 104
  package static let reportBytes: UInt32 = 80

  /// More than any header will have; a size beyond is not initialised memory.
  private static let most: UInt32 = 65536

  /// Copies a record that a program filled into `record`, which is all 0.
  @inline(__always)
  package static func copy<Record: BitwiseCopyable>(
    _ source: UnsafeRawPointer?, into record: inout Record, least: UInt32,
    _ name: @autoclosure () -> String
  ) throws(PTO2Error) {
    let source = unsafe try checked(source, least: least, name())
    let bytes = unsafe Int(source.load(as: UInt32.self))
    if bytes == MemoryLayout<Record>.size {
      record = unsafe source.load(as: Record.self)
    } else {
      try unsafe copyOther(source, bytes, into: &record, name())
    }
  }

  /// A record of another version.
  private static func copyOther<Record: BitwiseCopyable>(
    _ source: UnsafeRawPointer, _ bytes: Int, into record: inout Record, _ name: String
  ) throws(PTO2Error) {
    let known = min(bytes, MemoryLayout<Record>.size)
    unsafe withUnsafeMutableBytes(of: &record) { record in
      unsafe record.copyMemory(from: UnsafeRawBufferPointer(start: source, count: known))
    }
    for index in known..<bytes where unsafe source.load(fromByteOffset: index, as: UInt8.self) != 0
    {
      throw PTO2Error(
        .invalidArgs,
        "byte \(index) of a \(name) is not 0, of which this runtime knows \(known): the program was compiled with a newer pto2_program.h"
      )
    }
  }

  /// Finds out whether `store` would succeed.
  package static func check(
    _ target: UnsafeRawPointer?, least: UInt32, _ name: String
  ) throws(PTO2Error) {
    _ = unsafe try checked(target, least: least, name)
  }

  /// Fills a record of the program with as much of `record` as it has room for. Its
  /// size stays, and 0 is what this runtime does not know.
  package static func store<Record: BitwiseCopyable>(
    _ record: Record, to target: UnsafeMutableRawPointer?, least: UInt32, _ name: String
  ) throws(PTO2Error) {
    let bytes = unsafe Int(try checked(target, least: least, name).load(as: UInt32.self))
    let known = min(bytes, MemoryLayout<Record>.size)
    let header = MemoryLayout<UInt32>.size
    unsafe withUnsafeBytes(of: record) { record in
      unsafe (target! + header).copyMemory(
        from: record.baseAddress! + header, byteCount: known - header)
    }
    for index in known..<bytes {
      unsafe target!.storeBytes(of: 0, toByteOffset: index, as: UInt8.self)
    }
  }

  /// How far the records of an array lie apart: the size of the first one.
  static func stride(_ first: UnsafeRawPointer?) -> Int {
    unsafe first.map { unsafe Int($0.load(as: UInt32.self)) } ?? 0
  }

  @inline(__always)
  private static func checked(
    _ source: UnsafeRawPointer?, least: UInt32, _ name: @autoclosure () -> String
  ) throws(PTO2Error) -> UnsafeRawPointer {
    guard let source = unsafe source else {
      throw PTO2Error(.invalidArgs, "a \(name()) is NULL")
    }
    let bytes = unsafe source.load(as: UInt32.self)
    guard bytes >= least, bytes <= most else {
      throw PTO2Error(
        .invalidArgs,
        "a \(name()) begins with \(bytes) instead of its size: set .bytes = sizeof(\(name()))")
    }
    return unsafe source
  }
}

/// An array of records of one size, as a program lays it out.
@safe package struct CRecords {
  private let base: UnsafeRawPointer?
  private let stride: Int
  private let name: String
  package let count: Int

  /// - Throws: error 5 for records where there is none.
  package init(_ base: UnsafeRawPointer?, count: UInt32, _ name: String) throws(PTO2Error) {
    guard unsafe count == 0 || base != nil else {
      throw PTO2Error(.invalidArgs, "\(count) \(name)s at NULL")
    }
    unsafe self.base = base
    self.count = Int(count)
    self.name = name
    stride = unsafe count == 0 ? 0 : CRecord.stride(base)
  }

  /// Where record `index` is; it says the size that all of them have.
  package func at(_ index: Int) throws(PTO2Error) -> UnsafeRawPointer {
    let record = unsafe base! + index * stride
    guard unsafe record.load(as: UInt32.self) == UInt32(stride) else {
      throw PTO2Error(
        .invalidArgs,
        "\(name) \(index) of an array has another size than the first one: \(unsafe record.load(as: UInt32.self)) bytes, not \(stride)"
      )
    }
    return unsafe record
  }
}
