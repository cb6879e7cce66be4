import Glibc

/// Perfetto's trace format as its .proto files say it, read without anything of the runtime.
struct WireTrace {
  struct Event {
    /// 1 begin, 2 end, 3 instant, 4 counter.
    var type: UInt64 = 0
    var time: UInt64 = 0
    var track: UInt64 = 0
    var name = ""
    var counter: Int64?
    var numbers: [String: Int64] = [:]
    var texts: [String: String] = [:]
    var flows: [UInt64] = []
    var endedFlows: [UInt64] = []

    var task: String { "\(numbers["ring"] ?? -1):\(numbers["task"] ?? -1)" }
  }

  /// A slice, from its begin to its end on the same track.
  struct Slice {
    var begin: Event
    var end: UInt64
    var nanoseconds: UInt64 { end - begin.time }
  }

  var events: [Event] = []
  var tracks: [UInt64: String] = [:]
  /// Anything that the format does not allow.
  var faults: [String] = []

  private var names: [UInt64: String] = [:]
  private var annotations: [UInt64: String] = [:]

  private typealias Field = (number: UInt64, value: UInt64, bytes: ArraySlice<UInt8>)

  init(_ path: String) {
    var bytes: [UInt8] = []
    guard let file = fopen(path, "r") else {
      faults = ["no file \(path)"]
      return
    }
    var piece = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = fread(&piece, 1, piece.count, file)
      if count == 0 { break }
      bytes += piece[..<count]
    }
    fclose(file)
    for field in fields(bytes[...]) {
      if field.number == 1 { read(packet: field.bytes) } else { faults.append("no packet") }
    }
  }

  private mutating func fields(_ message: ArraySlice<UInt8>) -> [Field] {
    var result: [Field] = []
    var rest = message
    func varint() -> UInt64? {
      var value: UInt64 = 0
      for shift in stride(from: 0, to: 64, by: 7) {
        guard let byte = rest.popFirst() else { return nil }
        value |= UInt64(byte & 127) << UInt64(shift)
        if byte & 128 == 0 { return value }
      }
      return nil
    }
    while !rest.isEmpty {
      guard let tag = varint() else { break }
      switch tag % 8 {
      case 0:
        guard let value = varint() else { break }
        result.append((tag / 8, value, []))
        continue
      case 1 where rest.count >= 8:
        let value = rest.prefix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        rest = rest.dropFirst(8)
        result.append((tag / 8, value, []))
        continue
      case 2:
        guard let count = varint(), UInt64(rest.count) >= count else { break }
        result.append((tag / 8, 0, rest.prefix(Int(count))))
        rest = rest.dropFirst(Int(count))
        continue
      default: break
      }
      faults.append("a field of kind \(tag % 8), or cut off")
      break
    }
    return result
  }

  private func text(_ field: Field) -> String { String(decoding: field.bytes, as: UTF8.self) }

  private mutating func read(packet: ArraySlice<UInt8>) {
    let all = fields(packet)
    let time = all.first { $0.number == 8 }?.value ?? 0
    if all.first(where: { $0.number == 10 })?.value ?? 0 == 0 { faults.append("no sequence id") }
    for field in all {
      switch field.number {
      case 12:
        for entry in fields(field.bytes) {
          let parts = fields(entry.bytes)
          let id = parts.first { $0.number == 1 }?.value ?? 0
          let name = parts.first { $0.number == 2 }.map(text) ?? ""
          if entry.number == 2 { names[id] = name } else { annotations[id] = name }
        }
      case 60: read(track: field.bytes)
      case 11: read(event: field.bytes, at: time)
      default: break
      }
    }
  }

  private mutating func read(track: ArraySlice<UInt8>) {
    let all = fields(track)
    let uuid = all.first { $0.number == 1 }?.value ?? 0
    var name = all.first { $0.number == 2 }.map(text) ?? ""
    for field in all where field.number == 3 || field.number == 4 {
      name = fields(field.bytes).last.map(text) ?? ""
    }
    tracks[uuid] = name
  }

  private mutating func read(event: ArraySlice<UInt8>, at time: UInt64) {
    var result = Event()
    result.time = time
    for field in fields(event) {
      switch field.number {
      case 9: result.type = field.value
      case 10:
        result.name = names[field.value] ?? ""
        if result.name.isEmpty { faults.append("no name \(field.value)") }
      case 11: result.track = field.value
      case 23: result.name = text(field)
      case 30: result.counter = Int64(bitPattern: field.value)
      case 47: result.flows.append(field.value)
      case 48: result.endedFlows.append(field.value)
      case 4:
        let parts = fields(field.bytes)
        let id = parts.first { $0.number == 1 }?.value ?? 0
        guard let name = annotations[id] else {
          faults.append("no annotation \(id)")
          break
        }
        for part in parts where part.number != 1 {
          if part.number == 6 {
            result.texts[name] = text(part)
          } else {
            result.numbers[name] = Int64(bitPattern: part.value)
          }
        }
      default: break
      }
    }
    if tracks[result.track] == nil { faults.append("no track \(result.track)") }
    events.append(result)
  }

  /// Kernel runs, by track.
  mutating func slices() -> [Slice] {
    var open: [UInt64: Event] = [:]
    var result: [Slice] = []
    for event in events where event.type == 1 || event.type == 2 {
      if event.type == 1 {
        if open[event.track] != nil { faults.append("a slice inside another") }
        open[event.track] = event
      } else if let begin = open.removeValue(forKey: event.track), begin.time <= event.time {
        result.append(Slice(begin: begin, end: event.time))
      } else {
        faults.append("an end without a beginning")
      }
    }
    if !open.isEmpty { faults.append("a beginning without an end") }
    return result
  }
}

/// The numbers of the page's runs: each is the gap before, the length, kernel and flags, task.
func base64Varints(_ text: Substring) -> [UInt64] {
  let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
  let values = Dictionary(uniqueKeysWithValues: zip(letters, 0..<UInt32(64)))
  var bytes: [UInt8] = []
  var (word, bits): (UInt32, UInt32) = (0, 0)
  for letter in text.utf8 {
    guard let value = values[letter] else { break }
    word = word << 6 | value
    bits += 6
    if bits >= 8 {
      bits -= 8
      bytes.append(UInt8(truncatingIfNeeded: word >> bits))
    }
  }
  var numbers: [UInt64] = []
  var (number, shift): (UInt64, UInt64) = (0, 0)
  for byte in bytes {
    number |= UInt64(byte & 127) << shift
    shift += 7
    if byte < 128 {
      numbers.append(number)
      (number, shift) = (0, 0)
    }
  }
  return numbers
}
