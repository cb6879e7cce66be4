internal import CPTO2Segment
package import PTO2Protocol
package import PTO2System

/// What a register word says, in words.
package struct WordText: Equatable, Sendable {
  /// The register that can hold it.
  package enum Register: String, Sendable, CaseIterable { case dataMainBase, cond }

  package var word: UInt32
  package var register: Register
  package var text: String
  package var toggle: Bool?
  /// Bytes from dispatch_base.
  package var offset: UInt64?
  package var slot: UInt32?

  package init(_ word: UInt32, in register: Register) {
    self.word = word
    self.register = register
    switch register {
    case .dataMainBase:
      let name = Self.sentinel(word, in: register)
      text =
        name ?? Self.dispatch(DispatchWord(rawValue: word)) ?? "no word that a scheduler stores"
      if name == nil { take(DispatchWord(rawValue: word)) }
    case .cond:
      let echo = DispatchWord(rawValue: word & ~PTO2_COND_FIN)
      let isFIN = word & PTO2_COND_FIN != 0
      let name = Self.sentinel(word, in: register)
      text =
        name ?? Self.dispatch(echo).map { (isFIN ? "FIN" : "ACK") + " of the dispatch: " + $0 }
        ?? "no word that a core stores"
      if name == nil { take(echo) }
    }
  }

  private mutating func take(_ dispatch: DispatchWord) {
    guard case .dispatch(let offset, let slot) = dispatch.content else { return }
    toggle = dispatch.toggle
    self.offset = offset
    self.slot = slot
  }

  private static func sentinel(_ word: UInt32, in register: Register) -> String? {
    switch (register, word) {
    case (.dataMainBase, PTO2_EXIT_SIGNAL): "EXIT: the core is to leave"
    case (.dataMainBase, PTO2_SCHEDULER_IDLE):
      "SCHEDULER_IDLE: nothing was dispatched on this lane yet"
    case (.dataMainBase, 0), (.dataMainBase, PTO2_WORD_TOGGLE): "idle: offset field 0"
    case (.cond, PTO2_EXITED): "EXITED: the core has left"
    case (.cond, PTO2_CORE_IDLE): "CORE_IDLE: nothing was acknowledged on this lane yet"
    case (.cond, 0): "0: no worker has served this core yet"
    default: nil
    }
  }

  private static func dispatch(_ word: DispatchWord) -> String? {
    guard case .dispatch(let offset, let slot) = word.content else { return nil }
    let (index, rest) = offset.quotientAndRemainder(dividingBy: UInt64(Descriptor.stride))
    let place = rest == 0 ? "descriptor \(index) from there" : "where no descriptor begins"
    let subtask = SubtaskSlot(rawValue: slot).map { "\($0)".uppercased() } ?? "?"
    return
      "toggle \(word.toggle ? 1 : 0), offset \(offset) bytes from dispatch_base (\(place)), slot \(slot) (\(subtask))"
  }

  package var json: JSONObject {
    var object = JSONObject()
    object.add("word", word)
    object.add("register", register.rawValue)
    object.add("text", text)
    if let toggle { object.add("toggle", toggle ? 1 : 0) }
    if let offset { object.add("offset", offset) }
    if let slot { object.add("slot", slot) }
    return object
  }
}

/// A number as people write it: decimal, or hexadecimal after 0x; nil for anything else.
package func parseWord(_ text: some StringProtocol) -> UInt64? {
  let isHex = text.hasPrefix("0x") || text.hasPrefix("0X")
  let digits = isHex ? text.dropFirst(2) : text.dropFirst(0)
  guard !digits.isEmpty, digits.allSatisfy(\.isHexDigit) else { return nil }
  return UInt64(digits, radix: isHex ? 16 : 10)
}

/// A task's id as it is written: `RING:ID`, or the 64 bits; nil for anything else.
package func parseTask(_ text: String) -> TaskID? {
  let parts = text.split(separator: ":", omittingEmptySubsequences: false)
  if parts.count == 2, let ring = parseWord(parts[0]), ring < UInt64(PTO2_MAX_RINGS),
    let local = parseWord(parts[1]), let local = UInt32(exactly: local)
  {
    return TaskID(ring: Int(ring), local: local)
  }
  guard parts.count == 1, let value = parseWord(text), value >> 35 == 0 else { return nil }
  return TaskID(rawValue: value)
}
