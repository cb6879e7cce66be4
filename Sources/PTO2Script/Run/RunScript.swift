internal import ArgumentParser
internal import Glibc
package import PTO2CommandLine
internal import PTO2Faults
internal import PTO2Orchestrator
internal import PTO2System

/// Runs the graph of a script in a session of this process, with its faults, and prints the
/// report.
/// - Parameters:
///   - options: those of the script and of the command line.
///   - resultsPath: where the tensors are written to at the end.
/// - Throws: as `RuntimeOptions.run`.
package func runScript(
  _ file: ScriptFile, seed: Int, options: RuntimeOptions, resultsPath: String?
) throws {
  let plan = try file.plan(seed: seed)
  // A test that is killed leaves nobody: then the scheduler removes the name.
  if resultsPath != nil { _ = followParent(getppid()) }
  var options = options
  var faults: Int32?
  if options.faults == nil, let script = file.script.faults {
    let descriptor = try holdText(script.withSeed(seed).text)
    options.faults = "/proc/self/fd/\(descriptor)"
    faults = descriptor
  }
  defer { if let faults { close(faults) } }
  _ = try options.run(
    file.path, images: [BuiltIn.image] + file.script.images,
    imageDirectories: [folder(of: file.path), executableDirectory() + "../lib/pto2/"]
  ) { graph in
    try Player.run(plan, in: graph, resultsPath: resultsPath)
  }
}

private func folder(of path: String) -> String {
  path.lastIndex(of: "/").map { String(path[...$0]) } ?? "./"
}

/// A text that can be read under the name of a descriptor: the size of a fault script fits a
/// pipe.
private func holdText(_ text: String) throws(SystemError) -> Int32 {
  var ends: [Int32] = [-1, -1]
  guard unsafe pipe(&ends) == 0 else { throw SystemError("pipe", "faults", errno: errno) }
  let bytes = [UInt8](text.utf8)
  let written = unsafe write(ends[1], bytes, bytes.count)
  close(ends[1])
  guard written == bytes.count else {
    close(ends[0])
    throw SystemError("write", "faults", errno: EFBIG)
  }
  return ends[0]
}

extension JSONNode {
  /// Of a fault script: its dice are of this seed, unless it says of which.
  func withSeed(_ seed: Int) -> JSONNode {
    guard case .object(let members) = value, !members.contains(where: { $0.key == "seed" }) else {
      return self
    }
    let node = JSONNode(value: .number(Double(seed)), place: place)
    return JSONNode(
      value: .object(members + [Member(key: "seed", place: place, node: node)]), place: place)
  }

  /// As JSON.
  var text: String {
    switch value {
    case .null: "null"
    case .bool(let value): "\(value)"
    case .number(let value): Int64(exactly: value).map { "\($0)" } ?? "\(value)"
    case .string(let text): JSONObject.quoted(text)
    case .array(let nodes): "[" + nodes.map(\.text).joined(separator: ",") + "]"
    case .object(let members):
      "{" + members.map { JSONObject.quoted($0.key) + ":" + $0.node.text }.joined(separator: ",")
        + "}"
    }
  }
}
