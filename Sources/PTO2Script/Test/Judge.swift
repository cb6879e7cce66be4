internal import PTO2Faults
internal import PTO2Protocol
internal import PTO2System

/// What a run has left to be judged by.
struct Evidence {
  var status: Int
  var output: String
  var errors: String
  /// Bytes of the program's tensors; nil when it did not come so far.
  var results: [UInt8]?
  var seconds: Double
  var processes: [String]
  var hasName: Bool
  var helpers: [(action: Action, status: Int)]
  /// Actions whose condition never held.
  var undone: [Action]
}

/// Compares what has come of a run with what must hold.
struct Judge {
  private let script: Script
  private let plan: Plan
  private var wanted: Expectations { script.expectations }

  init(_ script: Script, _ plan: Plan) {
    self.script = script
    self.plan = plan
  }

  /// What does not hold, each in a sentence; none: the script has passed.
  func failures(_ evidence: Evidence) -> [String] {
    var failures: [String] = []
    let report = Self.report(evidence.output)
    checkStatus(evidence, &failures)
    for text in wanted.output where !evidence.output.contains(text) {
      failures.append("stdout: expected \"\(text)\", found \"\(Self.end(evidence.output))\"")
    }
    for text in wanted.errors where !evidence.errors.contains(text) {
      failures.append("stderr: expected \"\(text)\", found \"\(Self.end(evidence.errors))\"")
    }
    if let seconds = wanted.seconds, !seconds.holds(evidence.seconds) {
      failures.append("seconds: expected \(seconds), found \(fixed(evidence.seconds, 3))")
    }
    checkError(report, evidence, &failures)
    for field in wanted.report { check(field, report, &failures) }
    for action in evidence.undone {
      failures.append(
        "the action of line \(action.place.line) was never done: what it waits for never came")
    }
    for (action, status) in evidence.helpers {
      if case .start(let process, _, .some(let expected)) = action.what, expected != status {
        failures.append(
          "status of the \(process) of line \(action.place.line): expected \(expected), found \(status)"
        )
      }
    }
    checkLeftovers(evidence, &failures)
    if evidence.status == 0 && wanted.wantedStatuses == [0] { checkResults(evidence, &failures) }
    return failures
  }

  /// The end of a text, for a message.
  private static func end(_ text: String) -> String {
    // The start-up line says nothing of what went wrong.
    let said = text.split(separator: "\n").filter { !$0.hasPrefix("pto2: session ") }
    let lines = said.suffix(3).joined(separator: " | ")
    return lines.count > 400 ? "..." + lines.suffix(400) : lines
  }

  /// The JSON report: the last line that is one.
  private static func report(_ output: String) -> JSONNode? {
    for line in output.split(separator: "\n").reversed() where line.hasPrefix("{\"program\":") {
      return try? JSONReader.parse(String(line))
    }
    return nil
  }

  private func checkStatus(_ evidence: Evidence, _ failures: inout [String]) {
    guard !wanted.wantedStatuses.contains(evidence.status) else { return }
    let expected = wanted.wantedStatuses.map { "\($0)" }.joined(separator: " or ")
    let said = Self.end(evidence.errors)
    failures.append(
      "exit status: expected \(expected), found \(evidence.status)\(said.isEmpty ? "" : ": " + said)")
  }

  private func checkError(_ report: JSONNode?, _ evidence: Evidence, _ failures: inout [String]) {
    if !wanted.codes.isEmpty {
      let found = report?.member("code")?.number.map { UInt32(exactly: $0) ?? 0 } ?? 0
      if !wanted.codes.contains(where: { $0.rawValue == found }) {
        let names = wanted.codes.map { "\($0.rawValue) \($0.name)" }
        failures.append(
          "error: expected \(names.joined(separator: " or ")), found \(found == 0 ? "none" : "\(found)")"
        )
      }
    }
    let message = report?.member("message")?.string ?? Self.end(evidence.errors)
    for text in wanted.message where !message.contains(text) {
      failures.append("message: expected \"\(text)\", found \"\(message)\"")
    }
  }

  private func checkLeftovers(_ evidence: Evidence, _ failures: inout [String]) {
    switch wanted.leftovers {
    case .any: return
    case .none:
      if evidence.hasName {
        failures.append("leftovers: the segment has kept its name in /dev/shm")
      }
    case .segment:
      if !evidence.hasName { failures.append("leftovers: expected a segment, and there is none") }
    }
    if !evidence.processes.isEmpty {
      failures.append("leftovers: \(evidence.processes.joined(separator: ", "))")
    }
  }

  // MARK: The report

  private func check(
    _ wanted: (path: String, field: Expectations.Field, place: TextPlace), _ report: JSONNode?,
    _ failures: inout [String]
  ) {
    let what = "report \(wanted.path) (line \(wanted.place.line))"
    guard var node = report else {
      failures.append("\(what): there is no report")
      return
    }
    for step in wanted.path.split(separator: ".") {
      guard let next = node.member(String(step)) else {
        let known = node.names
        let meant = nearest(String(step), known).map { ": did you mean \"\($0)\"?" } ?? ""
        failures.append(
          "\(what): no \"\(step)\" there\(meant) There is \(known.joined(separator: ", "))")
        return
      }
      node = next
    }
    switch (wanted.field, node.value) {
    case (.bound(let bound), .number(let value)):
      if !bound.holds(value) { failures.append("\(what): expected \(bound), found \(node.kind)") }
    case (.text(let text), .string(let value)):
      if !value.contains(text) {
        failures.append("\(what): expected \"\(text)\", found \(node.kind)")
      }
    case (.bool(let wanted), .bool(let value)):
      if wanted != value { failures.append("\(what): expected \(wanted), found \(value)") }
    case (.bound(let bound), .string(let value)) where bound.description == value: break
    default: failures.append("\(what): expected \(wanted.field.text), found \(node.kind)")
    }
  }

  // MARK: Results

  private func checkResults(_ evidence: Evidence, _ failures: inout [String]) {
    let freed = Set(
      plan.operations.compactMap { if case .free(let buffer) = $0 { buffer } else { nil } })
    let own = plan.externals.filter { !freed.contains($0) }
    let total = own.reduce(0) { $0 + plan.buffers[$1].count * plan.buffers[$1].type.byteCount }
    guard let bytes = evidence.results, bytes.count == total else {
      failures.append("results: the program has written none")
      return
    }
    let interpreter = Interpreter(plan)
    var next = 0
    for index in own {
      let buffer = plan.buffers[index]
      let count = buffer.count * buffer.type.byteCount
      let found = ElementFormat(type: buffer.type).elements(bytes[next..<next + count])
      next += count
      if let failure = compare(index, found, interpreter) { failures.append(failure) }
    }
  }

  /// - Returns: the first difference, in words.
  private func compare(_ index: Int, _ found: [UInt64], _ interpreter: Interpreter) -> String? {
    let buffer = plan.buffers[index]
    let format = ElementFormat(type: buffer.type)
    let own = wanted.results.first { $0.name == buffer.name }
    var tolerance = 0.0
    var expected = interpreter.elements[index]
    var isInterpreted = true
    switch own?.result {
    case .any: return nil
    case .values(let values, let difference):
      if case .list(let numbers) = values, numbers.count != buffer.count {
        return
          "results: \(numbers.count) values for \(buffer.name), which has \(buffer.count) elements"
      }
      (expected, tolerance) = (
        format.elements(values, count: buffer.count, seed: plan.seed), difference
      )
      isInterpreted = false
    case .interpreted(let difference): tolerance = difference
    case nil: break
    }
    var wrong = 0
    var first: String?
    for place in expected.indices {
      if isInterpreted && !interpreter.isKnown[index][place] {
        let kernels = interpreter.unknownKernels.sorted().joined(separator: ", ")
        return "results: the script does not say what element \(place) of \(buffer.name) is"
          + (kernels.isEmpty
            ? "" : ": nobody knows what \(kernels) computes. Say it in \"kernels\"")
          + ", or give values or any in \"results\""
      }
      let (a, b) = (expected[place], found[place])
      guard !isSame(a, b, format, tolerance) else { continue }
      wrong += 1
      first =
        first ?? "element \(place): expected \(format.text(a)), found \(format.text(b))"
    }
    guard let first else { return nil }
    return
      "results: \(buffer.name) is wrong in \(wrong) of \(buffer.count) elements, first \(first)"
  }

  private func isSame(_ a: UInt64, _ b: UInt64, _ format: ElementFormat, _ tolerance: Double)
    -> Bool
  {
    if a == b { return true }
    let (x, y) = (format.asReal(a), format.asReal(b))
    if format.type.isReal && x.isNaN && y.isNaN { return true }
    return tolerance > 0 && abs(x - y) <= tolerance
  }
}

extension Expectations.Field {
  fileprivate var text: String {
    switch self {
    case .bound(let bound): bound.description
    case .text(let text): "\"\(text)\""
    case .bool(let value): "\(value)"
    }
  }
}

extension JSONNode {
  /// Of an object by its key, of an array by its place, or by its "for", "label" or "fault".
  fileprivate func member(_ name: String) -> JSONNode? {
    switch value {
    case .object(let members): return members.first { $0.key == name }?.node
    case .array(let nodes):
      if let index = Int(name) { return nodes.indices.contains(index) ? nodes[index] : nil }
      return nodes.first { $0.label == name }
    default: return nil
    }
  }

  private var label: String? {
    for key in ["for", "label", "fault"] {
      if let text = member(key)?.string { return text }
    }
    return nil
  }

  fileprivate var names: [String] {
    switch value {
    case .object(let members): members.map(\.key)
    case .array(let nodes): nodes.indices.map { "\($0)" } + nodes.compactMap(\.label)
    default: []
    }
  }

  fileprivate var string: String? { if case .string(let text) = value { text } else { nil } }
  fileprivate var number: Double? { if case .number(let number) = value { number } else { nil } }
}
