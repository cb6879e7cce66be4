import CPTO2Segment
import Glibc
import Harness
import PTO2Segment
import PTO2System
import Testing

/// docs/segment-layout.md says what the code says: its tables are made from the records'
/// field lists, the comments in the headers, and the table of sections.
@Suite struct LayoutPageTests {
  private static let page = "docs/segment-layout.md"

  private static func header(_ path: String) -> [HeaderRecord] {
    HeaderRecord.all(in: readWholeFile(repositoryRoot + path) ?? "")
  }

  /// Of both headers, by name.
  private static let declared: [String: HeaderRecord] = {
    let records =
      header("Sources/CPTO2/include/pto2.h")
      + header("Sources/CPTO2Segment/include/pto2_segment.h")
    return Dictionary(records.map { ($0.name, $0) }) { first, _ in first }
  }()

  private struct Listed {
    var name: String
    var bytes: UInt32
    var fields: [(name: String, offset: UInt32, bytes: UInt32)] = []
  }

  /// The field lists, as they are compiled in.
  private static let listed: [Listed] = {
    var records: [Listed] = []
    var count: UInt32 = 0
    let fields = UnsafeBufferPointer(start: pto2_layout_fields(&count), count: Int(count))
    for field in fields {
      let name = String(cString: field.record)
      if records.last?.name != name {
        records.append(Listed(name: name, bytes: field.record_bytes))
      }
      records[records.count - 1].fields.append(
        (String(cString: field.name), field.offset, field.bytes))
    }
    return records
  }()

  /// Whether it is asserted and hashed: a field that is in no list would be neither.
  @Test func everyFieldOfEveryRecordIsInAList() {
    #expect(Self.listed.count > 25)
    let known = Set(Self.listed.map(\.name))
    for record in Self.declared.values where record.name != "pto2_layout_field" {
      #expect(known.contains(record.name), "\(record.name) has no list of its fields")
    }
    for record in Self.listed {
      let declared = Self.declared[record.name]?.fields.map(\.name) ?? []
      #expect(declared == record.fields.map(\.name), "\(record.name)")
      let end = record.fields.map { $0.offset + $0.bytes }.max() ?? 0
      #expect(end == record.bytes, "\(record.name) ends with padding that is no field")
      var next: UInt32 = 0
      for field in record.fields {
        #expect(field.offset == next, "\(record.name): padding before \(field.name)")
        next = field.offset + field.bytes
      }
    }
  }

  @Test func pageIsWhatTheCodeSays() throws {
    let text = try #require(readWholeFile(repositoryRoot + Self.page))
    var page = text
    for (name, block) in [("sections", sections()), ("records", records())] {
      let begin = "<!-- generated: \(name); PTO2_UPDATE_DOCS=1 make test rewrites it -->\n"
      let end = "<!-- end of \(name) -->"
      let opening = try #require(page.firstRange(of: begin), "\(name): no block in the page")
      let rest = page[opening.upperBound...]
      let closing = try #require(rest.firstRange(of: end), "\(name): no end in the page")
      page.replaceSubrange(opening.upperBound..<closing.lowerBound, with: "\n" + block + "\n")
    }
    if environment("PTO2_UPDATE_DOCS") == "1", page != text {
      #expect(write(page), "\(Self.page) cannot be written")
    } else {
      #expect(page == text, "\(Self.page) is not what the code says: PTO2_UPDATE_DOCS=1 make test")
    }
  }

  private func write(_ text: String) -> Bool {
    let descriptor = open(repositoryRoot + Self.page, O_WRONLY | O_TRUNC)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    let bytes = [UInt8](text.utf8)
    return Glibc.write(descriptor, bytes, bytes.count) == bytes.count
  }

  // MARK: Blocks

  private func sections() -> String {
    var lines = [
      "| # | section | writer | one is | bytes | how many | reserved |", "|---|---|---|---|---|---|---|",
    ]
    for spec in SectionSpec.all {
      let writers = [
        (RoleSet.orchestrator, "orchestrator"), (.scheduler, "scheduler"), (.worker, "worker"),
      ].filter { spec.writers.contains($0.0) }.map(\.1).joined(separator: ", ")
      let title = spec.title.dropFirst(spec.title.hasPrefix("the ") ? 4 : 0)
      let bytes = spec.hasPages ? "\(spec.stride), whole pages" : "\(spec.stride)"
      lines.append(
        "| \(spec.kind.rawValue) | \(title)\(spec.isPerRing ? " *R*" : "") | \(writers) "
          + "| \(spec.record.map { "`\($0)`" } ?? "byte") | \(bytes) "
          + "| \(spec.count == .one ? "1" : spec.count.rawValue) | \(spec.reservation.rawValue) |")
    }
    return lines.map { $0 + "\n" }.joined()
  }

  private func records() -> String {
    Self.listed.map { record in
      let declared = Self.declared[record.name]
      var text = "### `\(record.name)`, \(record.bytes) bytes\n\n"
      if let meaning = declared?.meaning, !meaning.isEmpty { text += meaning + "\n\n" }
      text += "| at | field | | |\n|---|---|---|---|\n"
      for (field, declared) in zip(record.fields, declared?.fields ?? [])
      where !field.name.hasPrefix("reserved") {
        text +=
          "| \(field.offset) | `\(field.name)` | \(type(declared.type, field.bytes)) "
          + "| \(declared.meaning) |\n"
      }
      return text
    }.joined(separator: "\n")
  }

  private func type(_ name: String, _ bytes: UInt32) -> String {
    let short = [
      "uint8_t": ("u8", 1), "uint16_t": ("u16", 2), "uint32_t": ("u32", 4), "int32_t": ("i32", 4),
      "uint64_t": ("u64", 8), "char": ("char", 1),
    ]
    let record = Self.listed.first { $0.name == name }
    let (title, size) =
      short[name].map { ($0.0, UInt32($0.1)) } ?? ("`\(name)`", record?.bytes ?? bytes)
    return bytes == size ? title : "\(bytes / size) x \(title)"
  }
}
