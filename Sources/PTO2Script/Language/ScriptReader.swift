package import PTO2Faults
internal import PTO2Orchestrator
internal import PTO2Protocol
internal import PTO2System

extension Script {
  /// Reads a script; every key and value must be one of those that docs/scripts.md lists.
  /// - Parameter knownOptions: an orchestrator's, without dashes, and whether each takes a value.
  package init(_ text: String, knownOptions: [String: Bool]) throws(TextError) {
    guard text.utf8.count <= Self.maximumBytes else {
      throw TextError(TextPlace(), "more than \(Self.maximumBytes) bytes")
    }
    let node = try YAMLReader.parse(text)
    if case .null = node.value {
      throw TextError(
        node.place, "the script is empty: it needs a graph, such as \"graph: [{wait: all}]\"")
    }
    var top = try Entries(node, "the script")
    if let node = top.take("description") { description = try node.text() }
    if let node = top.take("timeout") {
      timeout = try node.number(
        "seconds above 0, at most \(Int(Self.longestTimeout))", 0.001...Self.longestTimeout)
    }
    if let node = top.take("images") {
      for node in node.listOrOne { images.append(try node.text("a kernel image")) }
    }
    if let node = top.take("kernels") { models = try Self.models(node) }
    if let node = top.take("session") { options = try Self.options(node, knownOptions) }
    if let node = top.take("tensors") { tensors = try Self.tensors(node) }
    graph = try steps(try top.need("graph"))
    if let node = top.take("faults") { try readFaults(node) }
    if let node = top.take("actions") {
      for (number, node) in try node.list().enumerated() {
        actions.append(try Action(node))
        actions[number].number = number
      }
    }
    if let node = top.take("expect") {
      expectations = try Expectations(node)
      expectPlace = node.place
    }
    try top.finish()
    try checkResults()
  }

  private func checkResults() throws(TextError) {
    let names = tensors.map(\.name)
    for result in expectations.results where !names.contains(result.name) {
      throw unknown(result.name, at: result.place, in: "\"results\"", known: names)
    }
  }

  /// A list of faults, or what a file of `--faults` has.
  private mutating func readFaults(_ node: YAMLNode) throws(TextError) {
    var json = node.json
    if case .array = json.value {
      json = JSONNode(
        value: .object([JSONNode.Member(key: "faults", place: node.place, node: json)]),
        place: node.place)
    }
    _ = try FaultScript(json)
    faults = json
  }

  private static func models(_ node: YAMLNode) throws(TextError) -> [String: BuiltIn] {
    var entries = try Entries(node, "\"kernels\"")
    var models: [String: BuiltIn] = [:]
    for entry in entries.takeAll() { models[entry.key] = try builtIn(entry.node) }
    return models
  }

  private static func builtIn(_ node: YAMLNode) throws(TextError) -> BuiltIn {
    let text = try node.text("a built-in kernel")
    if let kernel = BuiltIn(rawValue: text) { return kernel }
    let names = BuiltIn.allCases.map(\.rawValue)
    let meant = nearest(text, names).map { ", did you mean \"\($0)\"?" } ?? ""
    throw TextError(
      node.place, "no built-in kernel \"\(text)\"\(meant) There is \(names.joined(separator: ", "))"
    )
  }

  private static func options(_ node: YAMLNode, _ known: [String: Bool]) throws(TextError)
    -> [String]
  {
    var entries = try Entries(node, "\"session\"")
    var options: [String] = []
    for entry in entries.takeAll() {
      guard let takesValue = known[entry.key] else {
        throw unknown(entry.key, at: entry.place, in: "\"session\"", known: known.keys.sorted())
      }
      let nodes = entry.node.listOrOne
      if !takesValue {
        guard case .bool(let isOn) = entry.node.value else {
          throw entry.node.expected("true or false")
        }
        if isOn { options.append("--" + entry.key) }
      } else {
        for node in nodes { options.append("--\(entry.key)=\(try node.text("a value"))") }
      }
    }
    return options
  }

  private static func tensors(_ node: YAMLNode) throws(TextError) -> [TensorDeclaration] {
    var entries = try Entries(node, "\"tensors\"")
    var tensors: [TensorDeclaration] = []
    for entry in entries.takeAll() {
      guard entry.key.unicodeScalars.allSatisfy(Letters.isWord),
        let first = entry.key.unicodeScalars.first, !Letters.isDigit(first)
      else {
        throw TextError(
          entry.place, "\"\(entry.key)\" is no name: expected letters, digits and '_'")
      }
      tensors.append(try TensorDeclaration(entry))
    }
    let elements = tensors.reduce(0) { $0 + $1.shape.reduce(1, *) }
    guard elements <= 1 << 24 else {
      throw TextError(node.place, "the tensors have \(elements) elements, at most \(1 << 24)")
    }
    return tensors
  }
}

extension TensorDeclaration {
  fileprivate init(_ entry: YAMLNode.Entry) throws(TextError) {
    name = entry.key
    place = entry.place
    var members = try Entries(entry.node, "a tensor")
    type =
      try members.take("type").map { (node) throws(TextError) in try DataType(node) } ?? .float32
    shape = []
    for node in try members.need("shape").listOrOne {
      shape.append(try node.whole("an extent", 0...(1 << 24)))
      guard shape.count <= 5, shape.reduce(1, *) <= 1 << 24 else {
        throw TextError(node.place, "expected at most 5 extents and \(1 << 24) elements")
      }
    }
    values = try members.take("value").map { (node) throws(TextError) in try Values(node) } ?? .zero
    try members.finish()
    if case .list(let numbers) = values, numbers.count != shape.reduce(1, *) {
      throw TextError(
        place, "\(numbers.count) values for a tensor of \(shape.reduce(1, *)) elements")
    }
  }
}

extension DataType {
  package var name: String {
    switch self {
    case .float32: "float32"
    case .float16: "float16"
    case .bfloat16: "bfloat16"
    case .int8: "int8"
    case .int16: "int16"
    case .int32: "int32"
    case .int64: "int64"
    case .uint8: "uint8"
    case .uint16: "uint16"
    case .uint32: "uint32"
    case .uint64: "uint64"
    case .bool: "bool"
    case .float8E4M3FN: "float8_e4m3fn"
    case .float8E5M2: "float8_e5m2"
    }
  }

  package init(_ node: YAMLNode) throws(TextError) {
    let text = try node.text("a type")
    let names = Self.allCases.map(\.name)
    guard let type = Self.allCases.first(where: { $0.name == text }) else {
      let meant = nearest(text, names).map { ", did you mean \($0)?" } ?? ""
      throw TextError(
        node.place, "no type \"\(text)\"\(meant) There is \(names.joined(separator: ", "))")
    }
    self = type
  }
}

extension Values {
  package init(_ node: YAMLNode) throws(TextError) {
    switch node.value {
    case .list(let nodes):
      var numbers: [Number] = []
      for node in nodes { numbers.append(try Self.number(node)) }
      self = .list(numbers)
    case .map:
      var members = try Entries(node, "a value")
      if let range = members.take("range") {
        let numbers = try range.list("the first element and a step, such as [0, 1]")
        guard numbers.count == 2 else {
          throw range.expected("the first element and a step, such as [0, 1]")
        }
        self = .range(try Self.number(numbers[0]), try Self.number(numbers[1]))
      } else {
        let seed = try members.need("random")
        var bounds = (-100, 100)
        if let node = members.take("between") {
          let numbers = try node.list("two whole numbers")
          guard numbers.count == 2 else { throw node.expected("two whole numbers") }
          bounds = (
            try numbers[0].whole("a bound", -(1 << 31)...(1 << 31)),
            try numbers[1].whole("a bound", -(1 << 31)...(1 << 31))
          )
          guard bounds.0 <= bounds.1 else { throw node.expected("a lower and an upper bound") }
        }
        if case .text("seed") = seed.value {
          self = .random(seed: nil, from: bounds.0, through: bounds.1)
        } else {
          self = .random(
            seed: try seed.whole("a seed", 0...(1 << 53)), from: bounds.0, through: bounds.1)
        }
      }
      try members.finish()
    default: self = .constant(try Self.number(node))
    }
  }

  static func number(_ node: YAMLNode) throws(TextError) -> Number {
    guard case .number(let value, let text) = node.value else {
      throw node.expected("a number, a list, {range: [first, step]} or {random: seed}")
    }
    return Int(text).map { .whole($0) } ?? .real(value)
  }
}
