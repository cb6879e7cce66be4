package import PTO2System

/// Results as people and programs read them.
extension TrialResult {
  /// The test's name: its file, and the seed where there are several.
  package func name(isRepeated: Bool) -> String {
    file.path + (isRepeated ? " (seed \(seed))" : "")
  }

  /// How to run it again.
  private var command: String { "pto2 test --seed \(seed) \(file.path)" }

  /// Lines that follow a failure, all but the first.
  private var explanation: [String] {
    var lines = failures
    if !hasPassed {
      lines.append("again: \(command)")
      if let kept { lines.append("kept: pto2 inspect \(kept)") }
    }
    return lines
  }

  /// For a terminal.
  package func lines(isRepeated: Bool, hasColours: Bool) -> [String] {
    var word = hasPassed ? "pass" : "FAIL"
    if hasColours { word = "\u{1B}[\(hasPassed ? 32 : 31)m\(word)\u{1B}[0m" }
    let title = "\(word)  \(name(isRepeated: isRepeated))  \(fixed(seconds, 2)) s"
    return [title] + explanation.map { "      " + $0 }
  }

  /// The Test Anything Protocol, version 14.
  package func tap(_ number: Int, isRepeated: Bool) -> [String] {
    let text = file.script.description.split(separator: "\n").first.map { ": \($0)" } ?? ""
    let title = (name(isRepeated: isRepeated) + text).replacing("#", with: "\\#")
    let line = "\(hasPassed ? "ok" : "not ok") \(number) - \(title)"
    if hasPassed { return [line] }
    var lines = [line, "  ---", "  failures:"]
    lines += failures.map { "    - " + JSONObject.quoted($0) }
    lines.append("  again: " + JSONObject.quoted(command))
    if let kept { lines.append("  kept: " + JSONObject.quoted(kept)) }
    lines.append("  seconds: \(fixed(seconds, 3))")
    lines.append("  ...")
    return lines
  }

  package var json: JSONObject {
    var object = JSONObject()
    object.add("file", file.path)
    object.add("description", file.script.description)
    object.add("seed", seed)
    object.add("result", hasPassed ? "passed" : "failed")
    object.add("seconds", seconds)
    object.add("failures", failures)
    if let kept { object.add("kept", kept) }
    if !hasPassed {
      object.add("stdout", output)
      object.add("stderr", errors)
    }
    return object
  }

  fileprivate func junit(isRepeated: Bool) -> String {
    let start =
      "  <testcase classname=\"pto2\" name=\(attribute(name(isRepeated: isRepeated))) time=\"\(fixed(seconds, 3))\""
    guard !hasPassed else { return start + "/>\n" }
    let text = explanation.joined(separator: "\n")
    return start + ">\n    <failure message=\(attribute(failures.first ?? ""))>\(escaped(text))"
      + "</failure>\n    <system-out>\(escaped(output))</system-out>\n"
      + "    <system-err>\(escaped(errors))</system-err>\n  </testcase>\n"
  }
}

/// A file in the format of JUnit.
package func junit(_ results: [TrialResult], isRepeated: Bool) -> String {
  let failures = results.count { !$0.hasPassed }
  let seconds = results.reduce(0) { $0 + $1.seconds }
  return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
    + "<testsuite name=\"pto2 test\" tests=\"\(results.count)\" failures=\"\(failures)\" errors=\"0\" skipped=\"0\" time=\"\(fixed(seconds, 3))\">\n"
    + results.map { $0.junit(isRepeated: isRepeated) }.joined() + "</testsuite>\n"
}

/// Writes a file of the user's.
/// - Returns: why it could not be written.
package func writeText(_ text: String, to path: String) -> SystemError? {
  writeFile([UInt8](text.utf8), path)
}

private func attribute(_ text: String) -> String { "\"" + escaped(text) + "\"" }

/// XML 1.0 has no other control characters than these three.
private func escaped(_ text: String) -> String {
  var out = ""
  for scalar in text.unicodeScalars {
    switch scalar {
    case "&": out += "&amp;"
    case "<": out += "&lt;"
    case ">": out += "&gt;"
    case "\"": out += "&quot;"
    case "\n", "\t", "\r": out.unicodeScalars.append(scalar)
    case _ where scalar.value < 0x20 || scalar.value == 0xFFFE || scalar.value == 0xFFFF: out += "?"
    default: out.unicodeScalars.append(scalar)
    }
  }
  return out
}
