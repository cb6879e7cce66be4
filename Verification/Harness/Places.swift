import Glibc
import PTO2System
import Synchronization

extension Command {
  /// Where the executables and shared objects lie that are looked at, with a slash: of a
  /// test PTO2_TEST_BIN, or the release build; of a tool the folder it lies in itself.
  package static let buildDirectory: String = {
    if let chosen = environment("PTO2_TEST_BIN") { return chosen + "/" }
    return testBundle == nil ? executableDirectory() : repositoryRoot + ".build/release/"
  }()

  /// A new folder in /tmp.
  package static func temporaryDirectory() -> String {
    var template = [CChar]("/tmp/pto2-XXXXXX".utf8CString)
    precondition(mkdtemp(&template) != nil, "cannot make a directory in /tmp")
    return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}

/// Of a test. Under swiftpm-testing-helper the bundle is an argument.
private let testBundle = CommandLine.arguments.first {
  $0.contains("/.build/") && $0.hasSuffix(".xctest")
}

/// The folder that has Package.swift, with a slash.
package let repositoryRoot: String = {
  let path = testBundle ?? executableDirectory()
  guard let build = path.firstRange(of: "/.build/") else { return "./" }
  return String(path[..<build.lowerBound]) + "/"
}()

/// A folder of files, with the files.
package func removeDirectory(_ path: String) {
  for name in entries(of: path) { unlink(path + "/" + name) }
  rmdir(path)
}

private let names = Atomic<UInt32>(0)

/// A segment name nobody else uses.
package func uniqueSegmentName() -> String {
  let number = names.add(1, ordering: .relaxed).newValue
  return "test-pto2-\(getpid())-\(number)"
}

/// A segment name that no other test uses, and no run without a name sweeps.
package func freshSegment(_ label: String) -> String { "test-pto2-\(getpid())-\(label)" }

/// Type and permission bits of an object in /dev/shm; nil when there is none.
package func sharedMemoryMode(_ name: String) -> UInt32? {
  var status = stat()
  return lstat("/dev/shm/" + name, &status) == 0 ? status.st_mode : nil
}
