/// A record as a C header declares it, with the meaning its comments give.
struct HeaderRecord {
  struct Field: Equatable {
    /// As in C, without the brackets of an array.
    var type: String
    var name: String
    var meaning: String
  }

  var name: String
  /// The comment before it.
  var meaning: String
  var fields: [Field]

  /// Every `typedef struct NAME { ... } NAME;` of a header.
  static func all(in text: String) -> [HeaderRecord] {
    var records: [HeaderRecord] = []
    var comment = Comment()
    var lines = text.split(separator: "\n", omittingEmptySubsequences: false)[...]
    while let line = lines.popFirst() {
      if line.hasPrefix("typedef struct ") {
        let name = line.split(separator: " ")[2]
        let end = lines.firstIndex { $0.hasPrefix("}") } ?? lines.endIndex
        records.append(
          HeaderRecord(
            name: String(name), meaning: comment.text, fields: fields(lines[..<end])))
        lines = lines[end...].dropFirst()
        comment = Comment()
      } else if line.isEmpty || !comment.take(line) {
        // A constant may stand between a record and its comment.
        if !line.hasPrefix("#define") || line.hasPrefix("#define PTO2_ASSERT") {
          comment = Comment()
        }
      }
    }
    return records
  }

  private static func fields(_ lines: ArraySlice<Substring>) -> [Field] {
    var fields: [Field] = []
    /// Of the next field: a comment on lines of its own, indented as fields are.
    var before = Comment()
    /// Of the last field: beside it, and below it further right.
    var beside = Comment()
    for line in lines {
      let indent = line.prefix { $0 == " " }.count
      if beside.isOpen || (indent > 4 && beside.take(line)) {
        if beside.isOpen { _ = beside.take(line) }
      } else if before.isOpen || line.dropFirst(indent).hasPrefix("/*") {
        _ = before.take(line)
        continue
      } else if let semicolon = line.firstIndex(of: ";") {
        let words = line[..<semicolon].split(separator: " ")
        let name = words.last!.prefix { $0 != "[" }
        fields.append(
          Field(
            type: words.dropLast().joined(separator: " "), name: String(name),
            meaning: before.text))
        before = Comment()
        beside = Comment()
        _ = beside.take(line[line.index(after: semicolon)...])
      }
      if !beside.text.isEmpty, !fields.isEmpty {
        fields[fields.count - 1].meaning = beside.text
      }
    }
    return fields
  }

  /// A comment of C that may go over several lines, or be several.
  private struct Comment {
    private(set) var text = ""
    private(set) var isOpen = false

    /// - Returns: false when the line is no comment and none is open.
    mutating func take(_ line: Substring) -> Bool {
      var words = line.split(separator: " ")[...]
      if !isOpen {
        guard words.first?.hasPrefix("/*") == true else { return false }
        words[words.startIndex].removeFirst(2)
        isOpen = true
      } else if words.first == "*" {
        words.removeFirst()
      }
      for word in words where isOpen {
        var word = word
        if word.hasSuffix("*/") {
          word.removeLast(2)
          isOpen = false
        }
        if !word.isEmpty { text += (text.isEmpty ? "" : " ") + word }
      }
      return true
    }
  }
}
