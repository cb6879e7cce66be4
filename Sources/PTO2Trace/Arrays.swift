internal import PTO2Protocol
package import PTO2System

extension Trace {
  /// Writes arrays of records in NumPy's own format, a file each: tasks, runs, edges and events,
  /// and the names of kernels, scopes and tasks that these number.
  package func writeArrays(to folder: String) throws(SystemError) {
    for array in arrays {
      let file = try OutputFile(creating: "\(folder)/\(array.name).npy")
      file.write(array.file)
      if let error = file.error { throw error }
    }
  }

  private var arrays: [Records] {
    [taskRecords, runRecords, edgeRecords, eventRecords]
      + [("kernels", session.kernels), ("scopes", session.scopes), ("names", session.names)].map {
        name, texts in
        var records = Records(name, text: texts)
        for text in texts { records.add(text) }
        return records
      }
  }

  private var taskRecords: Records {
    var records = Records(
      "tasks",
      [
        ("ring", "<u4"), ("id", "<u4"), ("submitted", "<u8"), ("wired", "<u8"), ("ready", "<u8"),
        ("dispatched", "<u8"), ("completed", "<u8"), ("released", "<u8"), ("consumed", "<u8"),
        ("cause", "<i4"), ("scope", "<u2"), ("name", "<u2"),
      ])
    for task in tasks {
      records.add(UInt32(truncatingIfNeeded: task.id.ring))
      records.add(task.id.local)
      for time in task.times { records.add(time) }
      records.add(task.cause)
      records.add(task.scope)
      records.add(task.name)
      records.count += 1
    }
    return records
  }

  private var runRecords: Records {
    var records = Records(
      "runs",
      [
        ("task", "<i4"), ("kernel", "<u2"), ("core", "|u1"), ("lane", "|u1"), ("slot", "|u1"),
        ("attempt", "|u1"), ("block", "<u2"), ("dispatched", "<u8"), ("begun", "<u8"),
        ("ended", "<u8"), ("lost", "|b1"),
      ])
    for run in runs {
      records.add(run.task)
      records.add(run.kernel)
      for byte in [run.core, run.lane, run.subtask, run.attempt] { records.add(byte) }
      records.add(run.block)
      for time in [run.dispatched, run.begun, run.ended] { records.add(time) }
      records.add(run.isLost ? UInt8(1) : 0)
      records.count += 1
    }
    return records
  }

  private var edgeRecords: Records {
    var records = Records("edges", [("producer", "<i4"), ("consumer", "<i4")])
    for edge in edges {
      records.add(edge.producer)
      records.add(edge.consumer)
      records.count += 1
    }
    return records
  }

  private var eventRecords: Records {
    let kinds = Records.longest(TraceInstant.Kind.allCases.map(\.rawValue))
    let texts = Records.longest(instants.map(\.text))
    var records = Records(
      "events", [("time", "<u8"), ("core", "<i4"), ("kind", "|S\(kinds)"), ("text", "|S\(texts)")])
    for instant in instants {
      records.add(instant.time)
      records.add(Int32(instant.core))
      records.add(instant.kind.rawValue, bytes: kinds)
      records.add(instant.text, bytes: texts)
      records.count += 1
    }
    return records
  }
}

/// One array: little endian, without gaps.
private struct Records {
  let name: String
  /// As numpy.dtype takes it.
  private let type: String
  private let textBytes: Int
  private var bytes: [UInt8] = []
  var count = 0

  init(_ name: String, _ fields: [(String, String)]) {
    self.name = name
    type = "[" + fields.map { "('\($0)', '\($1)')" }.joined(separator: ", ") + "]"
    textBytes = 0
  }

  /// Of texts alone.
  init(_ name: String, text: [String]) {
    self.name = name
    textBytes = Self.longest(text)
    type = "'|S\(textBytes)'"
  }

  static func longest(_ texts: [String]) -> Int { max(1, texts.map(\.utf8.count).max() ?? 1) }

  mutating func add<Value: FixedWidthInteger>(_ value: Value) {
    for byte in 0..<Value.bitWidth / 8 {
      bytes.append(UInt8(truncatingIfNeeded: value >> Value(8 * byte)))
    }
  }

  mutating func add(_ text: String, bytes length: Int) {
    bytes += text.utf8.prefix(length)
    for _ in min(text.utf8.count, length)..<length { bytes.append(0) }
  }

  mutating func add(_ text: String) {
    add(text, bytes: textBytes)
    count += 1
  }

  /// Format version 1: the header ends where a multiple of 64 bytes does.
  var file: [UInt8] {
    var header = "{'descr': \(type), 'fortran_order': False, 'shape': (\(count),), }"
    let before = 10
    while (before + header.utf8.count + 1) % 64 != 0 { header += " " }
    header += "\n"
    var file: [UInt8] = [0x93] + Array("NUMPY".utf8) + [1, 0]
    file += [UInt8(header.utf8.count & 0xFF), UInt8(header.utf8.count >> 8)]
    return file + Array(header.utf8) + bytes
  }
}
