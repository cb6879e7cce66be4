internal import Glibc
internal import PTO2Segment

extension FaultScript {
  /// Reads a script; every key and value must be one of those that
  /// docs/fault-injection.md lists.
  package init(_ text: String) throws(TextError) {
    guard text.utf8.count <= Self.maximumBytes else {
      throw TextError(TextPlace(), "more than \(Self.maximumBytes) bytes")
    }
    try self.init(try JSONReader.parse(text))
  }

  /// The same of a text that was read before.
  package init(_ node: JSONNode) throws(TextError) {
    var top = try Members(node, "the script")
    if let node = top.take("seed") { seed = try node.whole("seed", 0...(1 << 53)) }
    if let node = top.take("shm_bytes") {
      sharedMemoryBytes = try node.whole("shm_bytes", 1...(1 << 53))
    }
    guard let list = top.take("faults") else {
      throw TextError(top.place, "the script has no \"faults\"")
    }
    guard case .array(let nodes) = list.value else {
      throw TextError(list.place, "\"faults\": expected an array, found \(list.kind)")
    }
    try top.finish(["seed", "shm_bytes", "faults"])
    for node in nodes {
      let fault = try Fault(node)
      if case .fill = fault.what, sharedMemoryBytes == nil {
        throw TextError(
          fault.place,
          "\"fill\" needs \"shm_bytes\" beside \"faults\": the size of a /dev/shm of the session's own, so that nobody else's is filled"
        )
      }
      faults.append(fault)
    }
    guard !faults.isEmpty else { throw TextError(list.place, "\"faults\" is empty") }
  }
}

/// The members of an object that have not been read yet.
private struct Members {
  let place: TextPlace
  let what: String
  private var left: [JSONNode.Member]

  init(_ node: JSONNode, _ what: String) throws(TextError) {
    guard case .object(let members) = node.value else {
      throw TextError(node.place, "\(what): expected an object, found \(node.kind)")
    }
    place = node.place
    left = members
    self.what = what
  }

  mutating func take(_ key: String) -> JSONNode? {
    guard let index = left.firstIndex(where: { $0.key == key }) else { return nil }
    return left.remove(at: index).node
  }

  /// Nothing may be left.
  func finish(_ known: [String]) throws(TextError) {
    guard let member = left.first else { return }
    throw known.contains(member.key)
      ? TextError(member.place, "\"\(member.key)\" has no meaning in \(what)")
      : TextError(
        member.place,
        "unknown key \"\(member.key)\"; \(what) may have \(known.joined(separator: ", "))")
  }
}

extension JSONNode {
  fileprivate func expected(_ key: String, _ what: String) -> TextError {
    TextError(place, "\"\(key)\": expected \(what), found \(kind)")
  }

  fileprivate func whole(_ key: String, _ range: ClosedRange<UInt64>) throws(TextError) -> UInt64 {
    let error = expected(key, "a whole number from \(range.lowerBound) to \(range.upperBound)")
    switch value {
    case .number(let number):
      guard let whole = UInt64(exactly: number), range.contains(whole) else { throw error }
      return whole
    case .string(let text) where text.hasPrefix("0x"):
      guard let whole = UInt64(text.dropFirst(2), radix: 16), range.contains(whole) else {
        throw error
      }
      return whole
    default: throw error
    }
  }

  fileprivate func seconds(_ key: String, allowsZero: Bool = false) throws(TextError) -> Double {
    guard case .number(let number) = value, number > 0 || (allowsZero && number == 0),
      number <= 1_000_000
    else { throw expected(key, "seconds, \(allowsZero ? "0" : "above 0") to 1000000") }
    return number
  }

  fileprivate func text(_ key: String, _ what: String) throws(TextError) -> String {
    guard case .string(let text) = value else { throw expected(key, what) }
    return text
  }

  fileprivate func core(_ key: String) throws(TextError) -> Int {
    let what = "a core such as \"aic0\" or \"aiv1\""
    guard let core = coreIndex(named: try text(key, what)) else { throw expected(key, what) }
    return core
  }
}

extension Fault {
  private static let keys = [
    "at", "every", "after", "point", "core", "ring", "hit", "count", "probability", "do", "to",
    "for", "word", "section", "lane", "offset", "value", "flip", "bytes",
  ]

  fileprivate init(_ node: JSONNode) throws(TextError) {
    var members = try Members(node, "a fault")
    let when = try Self.readWhen(&members)
    var pointCore: Int?
    if case .point(_, let core, _, _) = when { pointCore = core }
    let what = try Self.readWhat(&members, core: pointCore)
    let count = members.take("count")
    let probability = members.take("probability")
    let to = members.take("to")
    self.init(when: when, what: what, place: node.place)

    if let probability {
      guard case .number(let number) = probability.value, number > 0, number <= 1 else {
        throw probability.expected("probability", "a number above 0, at most 1")
      }
      self.probability = number
    }
    switch when {
    case .every: self.count = try count?.whole("count", 1...1_000_000)
    case .point: self.count = try count?.whole("count", 1...1_000_000) ?? 1
    case .at, .after:
      if let count {
        throw TextError(count.place, "\"count\" goes with \"every\" or \"point\"")
      }
      self.count = 1
    }
    victim = try readVictim(to)
    try members.finish(Self.keys)
    if victim == .role(.orchestrator) {
      switch what {
      case .stop(nil), .hang(nil):
        throw TextError(
          node.place, "nobody could end the run: say how long the orchestrator stands, with \"for\""
        )
      case .loop:
        throw TextError(node.place, "nobody could end the run: \"loop\" is for the others")
      default: break
      }
    }
  }

  private static func readWhen(_ members: inout Members) throws(TextError) -> When {
    var found: [When] = []
    if let node = members.take("at") { found.append(.at(try node.seconds("at", allowsZero: true))) }
    if let node = members.take("every") { found.append(.every(try node.seconds("every"))) }
    if let node = members.take("after") {
      found.append(.after(try node.whole("after", 0...(1 << 53))))
    }
    if let node = members.take("point") {
      let names = ProtocolPoint.allCases.map(\.rawValue).joined(separator: ", ")
      let what = "one of \(names)"
      guard let point = ProtocolPoint(rawValue: try node.text("point", what)) else {
        throw node.expected("point", what)
      }
      let core = point.hasCore ? try members.take("core")?.core("core") : nil
      let ring = point.hasRing ? try members.take("ring")?.whole("ring", 0...7) : nil
      let hit = try members.take("hit")?.whole("hit", 1...(1 << 53)) ?? 1
      found.append(.point(point, core: core, ring: ring.map { Int($0) }, hit: hit))
    }
    guard found.count == 1 else {
      throw TextError(
        members.place,
        found.isEmpty
          ? "a fault needs one of \"at\", \"every\", \"after\" or \"point\""
          : "a fault has only one of \"at\", \"every\", \"after\" and \"point\"")
    }
    return found[0]
  }

  private static let actions = [
    "kill", "stop", "continue", "segv", "abrt", "ill", "fpe", "hang", "loop", "corrupt",
    "truncate", "drop-wake", "fill",
  ]

  private static func readWhat(_ members: inout Members, core: Int?) throws(TextError) -> What {
    let expected = "one of \(actions.joined(separator: ", "))"
    guard let node = members.take("do") else {
      throw TextError(members.place, "a fault needs \"do\": \(expected)")
    }
    let name = try node.text("do", expected)
    switch name {
    case "kill": return .signal(SIGKILL, name: name)
    case "continue": return .signal(SIGCONT, name: name)
    case "segv": return .signal(SIGSEGV, name: name)
    case "abrt": return .signal(SIGABRT, name: name)
    case "ill": return .signal(SIGILL, name: name)
    case "fpe": return .signal(SIGFPE, name: name)
    case "stop": return .stop(seconds: try members.take("for")?.seconds("for"))
    case "hang": return .hang(seconds: try members.take("for")?.seconds("for"))
    case "loop": return .loop
    case "drop-wake": return .dropWake
    case "truncate":
      guard let bytes = members.take("bytes") else {
        throw TextError(node.place, "\"truncate\" needs \"bytes\"")
      }
      return .truncate(bytes: try bytes.whole("bytes", 0...(1 << 53)))
    case "fill":
      return .fill(
        leaving: try members.take("bytes")?.whole("bytes", 0...(1 << 53)) ?? 0,
        seconds: try members.take("for")?.seconds("for"))
    case "corrupt": return .corrupt(try readCorruption(&members, core: core, at: node.place))
    default: throw node.expected("do", expected)
    }
  }

  /// - Parameter pointCore: the core of the point, for a word that names none.
  private static func readCorruption(
    _ members: inout Members, core pointCore: Int?, at place: TextPlace
  ) throws(TextError) -> Corruption {
    let value = try members.take("value")?.whole("value", 0...0xFFFF_FFFF)
    let flip = try members.take("flip")?.whole("flip", 1...0xFFFF_FFFF)
    guard (value == nil) != (flip == nil) else {
      throw TextError(place, "\"corrupt\" needs either \"value\" or \"flip\"")
    }
    let ring = Int(try members.take("ring")?.whole("ring", 0...7) ?? 0)
    let target: Corruption.Target
    if let node = members.take("word") {
      let what = "one of \(NamedWord.allCases.map(\.rawValue).joined(separator: ", "))"
      guard let word = NamedWord(rawValue: try node.text("word", what)) else {
        throw node.expected("word", what)
      }
      let isOfCore = word == .dispatch || word == .cond || word == .ready
      let core = isOfCore ? try members.take("core")?.core("core") ?? pointCore : 0
      guard let core else { throw TextError(node.place, "the word needs a \"core\"") }
      let hasLane = word == .dispatch || word == .cond
      let lane = hasLane ? Int(try members.take("lane")?.whole("lane", 0...7) ?? 0) : 0
      target = .word(word, core: core, ring: ring, lane: lane)
    } else if let node = members.take("section") {
      let names = SectionKind.allCases.map { "\($0)" }
      let what = "one of \(names.joined(separator: ", "))"
      guard let index = names.firstIndex(of: try node.text("section", what)) else {
        throw node.expected("section", what)
      }
      let offset = try members.take("offset")?.whole("offset", 0...(1 << 42)) ?? 0
      guard offset % 4 == 0 else {
        throw TextError(node.place, "\"offset\": expected a multiple of 4, found \(offset)")
      }
      target = .section(SectionKind.allCases[index], ring: ring, offset: offset)
    } else {
      throw TextError(place, "\"corrupt\" needs a \"word\" or a \"section\"")
    }
    return Corruption(
      target: target, value: UInt32(truncatingIfNeeded: value ?? flip!), isFlip: flip != nil)
  }

  private func readVictim(_ node: JSONNode?) throws(TextError) -> Victim? {
    guard let node else {
      guard what.hasVictim else { return nil }
      guard case .point(let point, let core, _, _) = when else {
        throw TextError(place, "the fault needs \"to\": whom it is done to")
      }
      // Who stores the word.
      switch point.storer {
      case .orchestrator: return .role(.orchestrator)
      case .scheduler: return .role(.scheduler)
      case .worker: return core.map { .role(.worker($0)) } ?? .anyWorker
      }
    }
    let what = "\"orchestrator\", \"scheduler\", \"worker\" or such as \"worker aiv0\""
    let text = try node.text("to", what)
    guard self.what.hasVictim else {
      throw TextError(node.place, "\"to\" has no meaning: the fault is done to the segment")
    }
    switch text {
    case "orchestrator": return .role(.orchestrator)
    case "scheduler": return .role(.scheduler)
    case "worker": return .anyWorker
    default:
      guard text.hasPrefix("worker "), let core = coreIndex(named: String(text.dropFirst(7))) else {
        throw node.expected("to", what)
      }
      return .role(.worker(core))
    }
  }
}
