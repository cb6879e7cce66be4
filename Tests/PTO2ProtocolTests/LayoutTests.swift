import CPTO2Segment
import Testing

/// The field lists of pto2_segment.h, which C has asserted, as one table.
@Suite struct LayoutTests {
  private struct Field {
    var record: String
    var name: String
    var offset: Int
    var bytes: Int
    var recordBytes: Int
  }

  private static var fields: [Field] {
    var count: UInt32 = 0
    let first = pto2_layout_fields(&count)!
    return (0..<Int(count)).map {
      Field(
        record: String(cString: first[$0].record), name: String(cString: first[$0].name),
        offset: Int(first[$0].offset), bytes: Int(first[$0].bytes),
        recordBytes: Int(first[$0].record_bytes))
    }
  }

  @Test func everyByteOfEveryRecordIsOneFields() {
    var record = ""
    var end = 0
    var size = 0
    for field in Self.fields {
      if field.record != record {
        #expect(end == size, "\(record) ends at \(end) of \(size) bytes")
        (record, end, size) = (field.record, 0, field.recordBytes)
      }
      #expect(field.offset == end, "\(record).\(field.name) leaves a gap or overlaps")
      end = field.offset + field.bytes
    }
    #expect(end == size, "\(record) ends at \(end) of \(size) bytes")
    #expect(Set(Self.fields.map(\.record)).count == 43)
  }

  /// What Swift has imported is what C has asserted.
  @Test func swiftSeesTheSameSizes() {
    let sizes = Dictionary(
      Self.fields.map { ($0.record, $0.recordBytes) }, uniquingKeysWith: { first, _ in first })
    #expect(sizes["pto2_tensor"] == MemoryLayout<pto2_tensor>.size)
    #expect(sizes["PTO2DispatchDesc"] == MemoryLayout<PTO2DispatchDesc>.size)
    #expect(sizes["pto2_main_slot"] == MemoryLayout<pto2_main_slot>.stride)
    #expect(sizes["pto2_consumed_entry"] == MemoryLayout<pto2_consumed_entry>.stride)
    #expect(sizes["pto2_main_slot_state"] == MemoryLayout<pto2_main_slot_state>.stride)
    #expect(sizes["pto2_fanout_edge"] == MemoryLayout<pto2_fanout_edge>.stride)
    #expect(sizes["pto2_log_record"] == MemoryLayout<pto2_log_record>.stride)
    #expect(sizes["pto2_dispatch_lanes"] == MemoryLayout<pto2_dispatch_lanes>.stride)
    #expect(sizes["pto2_orchestrator_page"] == MemoryLayout<pto2_orchestrator_page>.stride)
    #expect(sizes["pto2_scheduler_page"] == MemoryLayout<pto2_scheduler_page>.stride)
    #expect(sizes["pto2_core_page"] == MemoryLayout<pto2_core_page>.stride)
    #expect(sizes["pto2_header"] == MemoryLayout<pto2_header>.stride)
  }

  /// Words of different reasons to be written lie on different cache lines.
  @Test func wordsThatAreWrittenForDifferentReasonsShareNoLine() {
    func line(_ record: String, _ name: String) -> Int? {
      Self.fields.first { $0.record == record && $0.name == name }.map { $0.offset / 64 }
    }
    #expect(
      Set(
        ["submitted", "parked", "control", "process", "rings"].map {
          line("pto2_orchestrator_page", $0)
        }
      ).count == 5)
    #expect(
      Set(
        ["wired", "parked", "control", "process", "rings"].map {
          line("pto2_scheduler_page", $0)
        }
      ).count == 5)
    #expect(
      Set(["cond", "parked", "ready", "process"].map { line("pto2_core_page", $0) }).count == 4)
  }
}
