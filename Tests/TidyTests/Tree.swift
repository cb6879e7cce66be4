import Glibc
import Harness
import PTO2System

/// A text of this project.
struct SourceFile {
  /// From the root.
  let path: String
  let text: String

  var lines: [Substring] { text.split(separator: "\n", omittingEmptySubsequences: false) }
  func isOf(_ suffixes: String...) -> Bool { suffixes.contains { path.hasSuffix($0) } }
}

/// The texts of the tree, without what is built and without links.
enum Tree {
  static let files: [SourceFile] = {
    var files: [SourceFile] = []
    for name in entries(of: repositoryRoot) { add(name, to: &files) }
    return files
  }()

  /// Swift, C and C++.
  static let code = files.filter { $0.isOf(".swift", ".c", ".h", ".cpp", ".hpp") }
  static let pages = files.filter { $0.isOf(".md") }

  private static func add(_ path: String, to files: inout [SourceFile]) {
    var status = stat()
    let name = path.split(separator: "/").last ?? ""
    guard !name.hasPrefix("."), lstat(repositoryRoot + path, &status) == 0 else { return }
    switch status.st_mode & S_IFMT {
    case S_IFDIR:
      // What the fuzzers have found is no source.
      if ["artifacts", "corpus"].contains(name) { return }
      for entry in entries(of: repositoryRoot + path) { add(path + "/" + entry, to: &files) }
    case S_IFREG:
      if let text = readWholeFile(repositoryRoot + path) {
        files.append(SourceFile(path: path, text: text))
      }
    default: break
    }
  }
}
