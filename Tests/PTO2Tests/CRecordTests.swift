import CPTO2
import PTO2Protocol
import Testing

@testable import PTO2

/// Records between programs and runtimes of different versions.
@Suite struct CRecordTests {
  /// The first version of a record, the one this runtime knows, and a later one.
  private struct First {
    var bytes = UInt32(MemoryLayout<First>.size)
    var a: UInt32 = 7
  }
  private struct Known: Equatable {
    var bytes: UInt32 = 0
    var a: UInt32 = 0
    var b: UInt64 = 0
  }
  private struct Later {
    var bytes = UInt32(MemoryLayout<Later>.size)
    var a: UInt32 = 7
    var b: UInt64 = 8
    var c: UInt64 = 0
  }
  private static let least = UInt32(MemoryLayout<First>.size)

  private func copy<Record>(_ record: Record) throws(PTO2Error) -> Known {
    var record = record
    var known = Known()
    let error: PTO2Error? = withUnsafeBytes(of: &record) { bytes in
      do throws(PTO2Error) {
        try CRecord.copy(bytes.baseAddress, into: &known, least: Self.least, "record")
        return nil
      } catch { return error }
    }
    if let error { throw error }
    return known
  }

  @Test func olderRecordHasZeroInWhatItDoesNotKnow() throws {
    let known = try copy(First())
    #expect(known.a == 7 && known.b == 0)
  }

  @Test func laterRecordIsTakenWhenItAsksForNothingNew() throws {
    let known = try copy(Later())
    #expect(known.a == 7 && known.b == 8)
  }

  @Test func whatThisRuntimeDoesNotKnowIsRefused() {
    let error = #expect(throws: PTO2Error.self) { try copy(Later(c: 1 << 40)) }
    #expect(error?.code == .invalidArgs)
    #expect(error?.message.contains("byte 21 of a record is not 0") == true, "\(error!)")
  }

  @Test(arguments: [0, 1, 4, 7, 65537, UInt32.max])
  func sizeThatNobodySetIsRefused(bytes: UInt32) {
    let error = #expect(throws: PTO2Error.self) { try copy(First(bytes: bytes)) }
    #expect(error?.message.contains("begins with \(bytes) instead of its size") == true)
  }

  @Test func noRecordIsRefused() {
    var known = Known()
    #expect(throws: PTO2Error.self) {
      try CRecord.copy(nil, into: &known, least: Self.least, "record")
    }
  }

  /// What the runtime tells goes as far as there is room, and no byte further.
  @Test(arguments: [8, 12, 16, 24]) func storedRecordStaysInItsSize(bytes: Int) throws {
    var memory = [UInt8](repeating: 0xEE, count: 32)
    try memory.withUnsafeMutableBytes { memory in
      memory.storeBytes(of: UInt32(bytes), as: UInt32.self)
      try CRecord.store(
        Known(bytes: 0, a: 1, b: 2), to: memory.baseAddress, least: Self.least, "record")
      #expect(memory.load(as: UInt32.self) == UInt32(bytes))
      #expect(memory.load(fromByteOffset: 4, as: UInt32.self) == 1)
      if bytes >= 16 { #expect(memory.load(fromByteOffset: 8, as: UInt64.self) == 2) }
      if bytes == 24 { #expect(memory.load(fromByteOffset: 16, as: UInt64.self) == 0) }
      #expect(memory[bytes...].allSatisfy { $0 == 0xEE })
    }
  }

  @Test func recordsOfAnArrayLieAsFarApartAsTheySay() throws {
    var list = (0..<3).map { Later(a: UInt32($0)) }
    try list.withUnsafeMutableBytes { list in
      let records = try CRecords(list.baseAddress, count: 3, "record")
      for index in 0..<records.count {
        var known = Known()
        try CRecord.copy(records.at(index), into: &known, least: Self.least, "record")
        #expect(known.a == UInt32(index))
      }
    }
    list[1].bytes = 8
    try list.withUnsafeMutableBytes { list in
      let records = try CRecords(list.baseAddress, count: 3, "record")
      #expect(throws: PTO2Error.self) { try records.at(1) }
    }
    #expect(throws: PTO2Error.self) { try CRecords(nil, count: 1, "record") }
    #expect(try CRecords(nil, count: 0, "record").count == 0)
  }

  /// The first version's sizes are for ever; a record only grows.
  @Test func recordsAreAtLeastAsLongAsTheFirstVersion() {
    #expect(CRecord.argumentBytes <= MemoryLayout<pto2_argument>.size)
    #expect(CRecord.dependencyBytes <= MemoryLayout<pto2_dependency>.size)
    #expect(CRecord.predicateBytes <= MemoryLayout<pto2_predicate>.size)
    #expect(CRecord.submissionBytes <= MemoryLayout<pto2_submission>.size)
    #expect(CRecord.errorInfoBytes <= MemoryLayout<pto2_error_info>.size)
    #expect(CRecord.machineBytes <= MemoryLayout<pto2_machine>.size)
    #expect(CRecord.ringOptionsBytes <= MemoryLayout<pto2_ring_options>.size)
    #expect(CRecord.sessionOptionsBytes <= MemoryLayout<pto2_session_options>.size)
    #expect(CRecord.reportBytes <= MemoryLayout<pto2_report>.size)
  }

  /// A message that is cut ends with a whole character.
  @Test func longMessageIsCutBetweenCharacters() {
    for extra in 0..<4 {
      let text = String(repeating: "x", count: extra) + String(repeating: "é", count: 400)
      var info = pto2_error_info(PTO2Error(.outOfMemory, text, ring: 3, needed: 5, available: 4))
      #expect(info.code == PTO2_ERROR_OUT_OF_MEMORY && info.ring == 3 && info.task == UInt64.max)
      #expect(info.needed == 5 && info.available == 4)
      withUnsafeBytes(of: &info.message) { message in
        let bytes = message.prefix { $0 != 0 }
        #expect((message.count - 3..<message.count).contains(bytes.count))
        #expect(String(validating: bytes, as: UTF8.self) != nil)
      }
    }
    var none = pto2_error_info(nil)
    #expect(none.code == PTO2_ERROR_NONE && none.ring == -1)
    withUnsafeBytes(of: &none.message) { #expect($0[0] == 0) }
  }
}
