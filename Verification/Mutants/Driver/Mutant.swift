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
  /// Of the patch.
  let path: String
  /// Which file it changes.
  private let target: Substring

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
    guard !self.killers.isEmpty else { return nil }
    target = text.split(separator: "\n").first { $0.hasPrefix("+++ ") } ?? ""
    let file = path.split(separator: "/").last ?? ""
    name = String(file.dropLast(".patch".count))
  }

  /// All in a folder. Those with the same killers that change the same module follow one
  /// another: to take one back and to put in the next is then one build of it.
  static func all(in folder: String) -> [Mutant] {
    entries(of: folder).filter { $0.hasSuffix(".patch") }.compactMap { Mutant(path: folder + $0) }
      .sorted { ($0.killers.first!, $0.target, $0.name) < ($1.killers.first!, $1.target, $1.name) }
  }
}
