/// A JSON object (RFC 8259) in the order in which it is filled.
package struct JSONObject {
  private var members: [String] = []
  package init() {}

  package var text: String { "{" + members.joined(separator: ",") + "}" }

  /// An array of objects.
  package static func array(_ objects: [JSONObject]) -> String {
    "[" + objects.map(\.text).joined(separator: ",") + "]"
  }

  package static func quoted(_ text: String) -> String {
    var out = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": out += "\\\""
      case "\\": out += "\\\\"
      case "\n": out += "\\n"
      case "\t": out += "\\t"
      case _ where scalar.value < 0x20:
        let digits = String(scalar.value, radix: 16)
        out += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out + "\""
  }

  private mutating func add(_ key: String, raw: String) {
    members.append(Self.quoted(key) + ":" + raw)
  }

  package mutating func add(_ key: String, _ value: String) { add(key, raw: Self.quoted(value)) }
  package mutating func add(_ key: String, _ value: some BinaryInteger) {
    add(key, raw: "\(value)")
  }
  package mutating func add(_ key: String, _ value: Bool) { add(key, raw: "\(value)") }
  /// What is no number becomes null.
  package mutating func add(_ key: String, _ value: Double?) {
    add(key, raw: value.flatMap { $0.isFinite ? "\($0)" : nil } ?? "null")
  }
  package mutating func add(_ key: String, _ value: JSONObject) { add(key, raw: value.text) }
  package mutating func add(_ key: String, _ values: [String]) {
    add(key, raw: "[" + values.map(Self.quoted).joined(separator: ",") + "]")
  }
  package mutating func add(_ key: String, _ values: [JSONObject]) {
    add(key, raw: Self.array(values))
  }
}
