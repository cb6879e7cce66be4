internal import PTO2Faults
internal import PTO2Orchestrator
internal import PTO2Protocol

/// Reads the steps of a graph.
func steps(_ node: YAMLNode) throws(TextError) -> [Step] {
  var steps: [Step] = []
  for node in try node.list("a list of steps") { steps.append(try Step(node)) }
  return steps
}

extension Step {
  private static let kinds = [
    "task", "aic", "aiv0", "aiv1", "scope", "repeat", "for", "wait", "get", "set", "free", "pause",
    "fail", "print",
  ]

  fileprivate init(_ node: YAMLNode) throws(TextError) {
    place = node.place
    var members = try Entries(node, "a step")
    guard let key = members.first(of: Self.kinds) else {
      guard case .map(let entries) = node.value, let first = entries.first else {
        throw node.expected("a step, such as \"task: add\"")
      }
      throw unknown(first.key, at: first.place, in: "a step", known: Self.kinds + ["if"])
    }
    if ["task", "aic", "aiv0", "aiv1"].contains(key) {
      members = try Entries(node, "a task")
      condition = try members.take("if").map { (node) throws(TextError) in try Expression(node) }
      kind = .task(try TaskStep(&members))
    } else {
      members = try Entries(node, "a step \"\(key)\"")
      condition = try members.take("if").map { (node) throws(TextError) in try Expression(node) }
      kind = try Self.read(key, &members)
    }
    try members.finish()
  }

  private static func read(_ key: String, _ members: inout Entries) throws(TextError) -> Kind {
    let value = try members.need(key)
    switch key {
    case "scope":
      let (mode, name) = try Self.scope(value)
      return .scope(mode, name: name, try steps(try members.need("do")))
    case "repeat":
      return .loop(
        variable: nil, from: .constant(.whole(0)), below: try Expression(value),
        step: .constant(.whole(1)), try steps(try members.need("do")))
    case "for": return try loop(value, &members)
    case "wait":
      guard case .text("all") = value.value else { throw value.expected("all") }
      return .wait
    case "get": return .get(try Reference(value), seconds: try seconds(&members))
    case "set":
      let to = try Expression(try members.need("to"))
      return .set(try Reference(value), to, seconds: try seconds(&members))
    case "free": return .free(try Template(name: value))
    case "pause": return .pause(try value.number("seconds from 0 to 600", 0...600))
    case "fail": return .fail(try Template(text: value))
    default: return .print(try Template(text: value))
    }
  }

  /// `automatic`, `manual`, or `{name: ..., mode: ...}`.
  private static func scope(_ value: YAMLNode) throws(TextError) -> (ScopeMode, Template?) {
    guard case .map = value.value else {
      return (try Self.mode(value, "automatic, manual, or {name: ...}"), nil)
    }
    var members = try Entries(value, "a scope")
    let name = try Template(text: try members.need("name"))
    let mode = try members.take("mode").map { (node) throws(TextError) in
      try Self.mode(node, "automatic or manual")
    }
    try members.finish()
    return (mode ?? .automatic, name)
  }

  private static func mode(_ value: YAMLNode, _ what: String) throws(TextError) -> ScopeMode {
    let words = ["automatic": ScopeMode.automatic, "manual": .manual]
    guard case .text(let text) = value.value, let mode = words[text] else {
      throw value.expected(what)
    }
    return mode
  }

  private static func loop(_ value: YAMLNode, _ members: inout Entries) throws(TextError) -> Kind {
    let name = try value.text("the name of a variable")
    var letters = Letters(name, value)
    guard letters.word() != nil else { throw value.expected("the name of a variable") }
    try letters.finish("a letter, a digit or '_'")
    guard name != "seed" else { throw TextError(value.place, "\"seed\" is the seed of the run") }
    let from = try members.take("from").map { (node) throws(TextError) in try Expression(node) }
    let step = try members.take("step").map { (node) throws(TextError) in try Expression(node) }
    return .loop(
      variable: name, from: from ?? .constant(.whole(0)),
      below: try Expression(try members.need("below")), step: step ?? .constant(.whole(1)),
      try steps(try members.need("do")))
  }

  private static func seconds(_ members: inout Entries) throws(TextError) -> Double {
    try members.take("seconds").map { (node) throws(TextError) in
      try node.number("seconds above 0, at most 600", 0.001...600)
    } ?? 60
  }
}

extension TaskStep {
  fileprivate init(_ members: inout Entries) throws(TextError) {
    for (key, slot) in [
      ("task", SubtaskSlot.aiv0), ("aic", .aic), ("aiv0", .aiv0), ("aiv1", .aiv1),
    ] {
      guard let node = members.take(key) else { continue }
      let name = try node.text("a kernel, or none")
      if key == "task" && name == "none" { continue }
      guard !kernels.contains(where: { $0.slot == slot }) else {
        throw TextError(node.place, "\"task\" is the kernel of aiv0: the task has two")
      }
      kernels.append(Kernel(slot: slot, name: name, place: node.place))
    }
    kernels.sort { $0.slot.rawValue < $1.slot.rawValue }
    name = try members.take("name").map { (node) throws(TextError) in try Template(text: node) }
    if let node = members.take("args") {
      for node in try node.list("a list such as [{in: x}, {out: y}]") {
        arguments.append(try Argument(node))
      }
    }
    if let node = members.take("scalars") {
      for node in node.listOrOne { scalars.append((try Expression(node), node.place)) }
    }
    blocks = try members.take("blocks").map { (node) throws(TextError) in try Expression(node) }
    near = try members.take("near").map { (node) throws(TextError) in try Expression(node) }
    if let node = members.take("together") { startsTogether = try node.bool() }
    predicate = try members.take("when").map { (node) throws(TextError) in try Predicate(node) }
    if let node = members.take("after") {
      for node in node.listOrOne { after.append(try Template(text: node)) }
    }
    if let node = members.take("retain") {
      for node in node.listOrOne { retain.append(try Template(text: node)) }
    }
    if let node = members.take("recovery") {
      let words: [String: Recovery] = [
        "automatic": .automatic, "again": .again, "once": .once, "snapshot": .snapshot,
      ]
      guard let value = words[try node.text()] else {
        throw node.expected("automatic, again, once or snapshot")
      }
      recovery = value
    }
  }
}

extension TaskStep.Argument {
  fileprivate init(_ node: YAMLNode) throws(TextError) {
    place = node.place
    var members = try Entries(node, "an argument")
    let keys = Access.allCases.map(\.rawValue)
    guard let key = members.first(of: keys), let access = Access(rawValue: key) else {
      guard case .map(let entries) = node.value, let first = entries.first else {
        throw node.expected("an argument, such as {in: x}")
      }
      throw unknown(first.key, at: first.place, in: "an argument", known: keys)
    }
    self.access = access
    reference = try Reference(try members.need(key))
    if access.isNew {
      if !reference.changes.isEmpty {
        throw TextError(reference.place, "an output is a new tensor: expected a name alone")
      }
      type = try members.take("type").map { (node) throws(TextError) in try DataType(node) }
      if let node = members.take("shape") {
        shape = []
        for node in node.listOrOne { shape?.append(try Expression(node)) }
      }
    }
    try members.finish()
  }
}

extension TaskStep.Predicate {
  /// `flags[3] > 0`
  fileprivate init(_ node: YAMLNode) throws(TextError) {
    place = node.place
    var letters = Letters(try node.text("an element and a comparison, such as flags[3] > 0"), node)
    reference = try Reference(&letters)
    let words: [(String, Comparison)] = [
      ("==", .equal), ("!=", .notEqual), (">=", .greaterOrEqual), ("<=", .lessOrEqual),
      (">", .greater), ("<", .less),
    ]
    var found: Comparison?
    for (word, comparison) in words where found == nil && letters.take(word) { found = comparison }
    guard let found else {
      throw TextError(letters.place, "expected a comparison, found \(letters.found)")
    }
    comparison = found
    value = try letters.sum()
    try letters.finish("an operator")
  }
}
