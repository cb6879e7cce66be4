internal import Glibc
internal import PTO2CommandLine
internal import PTO2Faults
internal import PTO2System

/// A script with its file.
package struct ScriptFile: Sendable {
  package let path: String
  package let script: Script

  /// What is wrong with a file, with its path and place.
  package struct Failure: Error, CustomStringConvertible {
    package let description: String
  }

  package init(_ path: String) throws(Failure) {
    self.path = path
    guard let text = readWholeFile(path, limit: Script.maximumBytes) else {
      throw Failure(description: "\(path): \(Self.whyUnread(path))")
    }
    do throws(TextError) {
      script = try Script(text, knownOptions: SessionOptions.known)
    } catch { throw Failure(description: "\(path):\(error)") }
  }

  private static func whyUnread(_ path: String) -> String {
    var status = stat()
    guard unsafe stat(path, &status) == 0 else { return "no such file" }
    if status.st_mode & S_IFMT == S_IFDIR { return "is a folder: expected a script" }
    return isAccessible(path) ? "has more than \(Script.maximumBytes) bytes" : "cannot be read"
  }

  package func plan(seed: Int) throws(Failure) -> Plan {
    do throws(TextError) { return try Plan(script, seed: seed) } catch {
      throw Failure(description: "\(path):\(error)")
    }
  }

  /// The file's name without its ending.
  package var name: String {
    let name = path.split(separator: "/").last.map(String.init) ?? path
    return name.split(separator: ".").first.map(String.init) ?? name
  }

  /// The scripts that a path stands for: a file itself, a folder's files ending with .yaml and
  /// those of its folders, in order.
  package static func find(_ path: String) throws(Failure) -> [String] {
    var status = stat()
    guard unsafe stat(path, &status) == 0 else {
      throw Failure(description: "\(path): no such file or folder")
    }
    guard status.st_mode & S_IFMT == S_IFDIR else { return [path] }
    let found = search(path, depth: 0)
    if found.isEmpty {
      throw Failure(description: "\(path): no scripts: no file in it ends with .yaml")
    }
    return found
  }

  private static func search(_ folder: String, depth: Int) -> [String] {
    guard depth < 16 else { return [] }
    var found: [String] = []
    for name in entries(of: folder) where !name.hasPrefix(".") {
      let path = folder.hasSuffix("/") ? folder + name : folder + "/" + name
      var status = stat()
      guard unsafe lstat(path, &status) == 0 else { continue }
      if status.st_mode & S_IFMT == S_IFDIR {
        found += search(path, depth: depth + 1)
      } else if name.hasSuffix(".yaml") || name.hasSuffix(".yml") {
        found.append(path)
      }
    }
    return found
  }
}

/// What an orchestrator's command line takes, as its own parser has it.
package enum SessionOptions {
  /// What a script says elsewhere, or `pto2 test` itself.
  private static let others: Set<String> = [
    "help", "json", "quiet", "image", "faults", "segment", "launch",
  ]

  /// Names without dashes, and whether each takes a value.
  package static let known: [String: Bool] = {
    var known: [String: Bool] = [:]
    let help = RuntimeOptions.helpMessage(includeHidden: true, columns: 10_000)
    for line in help.split(separator: "\n") where line.hasPrefix("  -") {
      let usage = line.dropFirst(2).firstRange(of: "  ").map { line.dropFirst(2)[..<$0.lowerBound] }
      let takesValue = (usage ?? line).contains("<")
      for word in (usage ?? line).split(whereSeparator: { " ,/".contains($0) })
      where word.hasPrefix("--") {
        known[String(word.dropFirst(2))] = takesValue
      }
    }
    for name in others { known[name] = nil }
    return known
  }()
}
