internal import PTO2System

/// A mistake in the code: a patch whose first lines say what is wrong and who is to
/// notice it.
struct Mutant {
  let name: String
  /// In words.
  let wrong: String
  /// `sim` (the simulation) or filters of `swift test`, in the order in which they are
  /// asked.
  let killers: [String]
  let path: String

  /// - Returns: nil when the first lines are not there.
  init?(path: String) {
    guard let text = readWholeFile(path) else { return nil }
    var fields: [Substring: String] = [:]
    for line in text.split(separator: "\n") {
      if line.hasPrefix("---") { break }
      let parts = line.split(separator: ": ", maxSplits: 1)
      if parts.count == 2 { fields[parts[0]] = String(parts[1]) }
    }
    guard let wrong = fields["wrong"], let killers = fields["killers"] else { return nil }
    self.path = path
    self.wrong = wrong
    self.killers = killers.split(separator: " ").map(String.init)
    let file = path.split(separator: "/").last ?? ""
    name = String(file.dropLast(".patch".count))
  }

  /// All in a folder, sorted by name.
  static func all(in folder: String) -> [Mutant] {
    entries(of: folder).filter { $0.hasSuffix(".patch") }.compactMap { Mutant(path: folder + $0) }
  }
}
