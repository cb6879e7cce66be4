import CPTO2
import Testing

@testable import PTO2

@Suite struct ProgramTableTests {
  /// The groups that fill the table leave no call out.
  @Test func everyCallIsThere() {
    #expect(programAPI.pointee.major == UInt32(PTO2_PROGRAM_MAJOR))
    #expect(programAPI.pointee.bytes == UInt32(MemoryLayout<pto2_program_api>.size))
    let words = UnsafeRawBufferPointer(
      start: programAPI, count: MemoryLayout<pto2_program_api>.size
    ).bindMemory(to: UInt.self)
    let empty = words.indices.dropFirst().filter { words[$0] == 0 }
    #expect(empty.isEmpty, "NULL at words \(empty)")
  }
}
