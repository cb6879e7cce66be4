import Glibc
import Harness
import PTO2System
import Synchronization
import Testing

/// A program in the style of the original: sources of Tests/Fixtures/Compat, what it is given,
/// and what must come out, computed here.
struct CompatScene: CustomTestStringConvertible, Sendable {
  let name: String
  /// As "0:aiv:combine": sources below `kernels`.
  let kernels: [String]
  var options: [String] = []
  let arguments: [Argument]
  /// Looks at the tensors after the run.
  let check: @Sendable ([Values]) -> String?

  var testDescription: String { name }

  enum Argument: Sendable {
    case input([Float], String)
    case integers([Int32], String)
    case changed([Float], String)
    case changedIntegers([Int32], String)
    /// A type and a shape.
    case output(String)
    /// A scalar, or an option of the program.
    case word(String)
  }

  /// What a tensor's file has after the run.
  struct Values: Sendable {
    let bytes: [UInt8]
    func read<T: BitwiseCopyable>(_: T.Type) -> [T] {
      let whole = bytes.count / MemoryLayout<T>.stride
      return [T](unsafeUninitializedCapacity: whole) { buffer, count in
        let part = bytes.prefix(whole * MemoryLayout<T>.stride)
        UnsafeMutableRawBufferPointer(buffer).copyBytes(from: part)
        count = whole
      }
    }
    var floats: [Float] { read(Float.self) }
    var integers: [Int32] { read(Int32.self) }
  }

  /// Nil when the values are the expected ones, bit by bit or within `tolerance`.
  static func difference(_ found: [Float], _ expected: [Float], tolerance: Float = 0) -> String? {
    guard found.count == expected.count else {
      return "\(found.count) elements, not \(expected.count)"
    }
    for (index, (a, b)) in zip(found, expected).enumerated()
    where !(a == b || abs(a - b) <= tolerance * max(1, abs(b))) {
      return "element \(index) is \(a), expected \(b)"
    }
    return nil
  }

  static func difference<T: Equatable>(_ found: [T], _ expected: [T]) -> String? {
    found == expected ? nil : "\(found), expected \(expected)"
  }
}

/// A folder for compiled programs and their data; gone with the tests.
final class CompatBench: Sendable {
  static let sources = repositoryRoot + "Tests/Fixtures/Compat/"
  let folder = Command.temporaryDirectory()

  init() {
    // A static is never deinitialised; there may be several, made at the same time.
    let isFirst = removals.withLock { folders in
      folders.append(folder)
      return folders.count == 1
    }
    if isFirst {
      atexit { _ = Command("/bin/rm", ["-rf"] + removals.withLock { $0 }).wait() }
    }
  }

  func compile(
    _ name: String, _ kernels: [String], _ more: [String] = [], environment: [String: String] = [:]
  ) -> Command.Result {
    let list = kernels.flatMap { kernel in
      let parts = kernel.split(separator: ":")
      return ["--kernel", "\(parts[0]):\(parts[1]):\(Self.sources)kernels/\(parts[2]).cpp"]
    }
    return Command.run(
      "pto2",
      ["compile", Self.sources + name + ".cpp", "--output", folder, "--flag=-O0"] + list + more,
      environment: environment)
  }

  /// Runs a compiled program.
  /// - Returns: how it ended, and the contents of each tensor's file.
  func run(
    _ name: String, _ arguments: [CompatScene.Argument], options: [String], segment: String
  ) -> (Command.Result, [CompatScene.Values]) {
    var words: [String] = []
    var files: [String] = []
    func tensor(_ kind: String, _ type: String, _ shape: String, _ bytes: [UInt8]?) {
      let path = "\(folder)/\(segment)-\(files.count).bin"
      if let bytes { store(bytes, path) }
      files.append(path)
      words.append("\(kind):\(type):\(shape):\(path)")
    }
    for argument in arguments {
      switch argument {
      case .input(let values, let shape): tensor("in", "float32", shape, raw(values))
      case .integers(let values, let shape): tensor("in", "int32", shape, raw(values))
      case .changed(let values, let shape): tensor("inout", "float32", shape, raw(values))
      case .changedIntegers(let values, let shape): tensor("inout", "int32", shape, raw(values))
      case .output(let text):
        let parts = text.split(separator: " ").map(String.init)
        tensor("out", parts[0], parts[1], nil)
      case .word(let word): words.append(word)
      }
    }
    let result = Command.run(
      "pto2-orchestrator",
      ["--program", "\(folder)/lib\(name).so", "--segment", segment, "--json"] + options + ["--"]
        + words)
    return (result, files.map { CompatScene.Values(bytes: load($0)) })
  }

  private func raw<T>(_ values: [T]) -> [UInt8] { values.withUnsafeBytes { Array($0) } }

  private func store(_ bytes: [UInt8], _ path: String) {
    guard let file = fopen(path, "wb") else { return }
    fwrite(bytes, 1, bytes.count, file)
    fclose(file)
  }

  private func load(_ path: String) -> [UInt8] {
    guard let file = fopen(path, "rb") else { return [] }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 1 << 20)
    let count = fread(&bytes, 1, bytes.count, file)
    return Array(bytes[..<count])
  }
}

private let removals = Mutex<[String]>([])
