import PTO2Protocol
import PTO2Sight
import Testing

/// What words say, in words.
@Suite struct DecodeTests {
  @Test func dispatchWordIsReadInBothRegisters() throws {
    let word = try #require(DispatchWord(descriptorOffset: 192, slot: 2, toggle: true)).rawValue
    let told = WordText(word, in: .dataMainBase)
    #expect(
      told.text
        == "toggle 1, offset 192 bytes from dispatch_base (descriptor 3 from there), slot 2 (AIV1)")
    #expect(told.toggle == true && told.offset == 192 && told.slot == 2)
    #expect(WordText(word, in: .cond).text == "ACK of the dispatch: " + told.text)
    #expect(WordText(word | 1 << 31, in: .cond).text == "FIN of the dispatch: " + told.text)
    #expect(WordText(word | 1 << 31, in: .dataMainBase).text == "no word that a scheduler stores")
  }

  @Test(
    arguments: [
      (0x7FFF_FFF0, WordText.Register.dataMainBase, "EXIT"),
      (0x7FFF_FFFD, .dataMainBase, "SCHEDULER_IDLE"), (0x7FFF_FFFE, .cond, "EXITED"),
      (0x7FFF_FFFF, .cond, "CORE_IDLE"), (0, .dataMainBase, "idle"), (0, .cond, "0: no worker"),
      (0x4000_0000, .dataMainBase, "idle"), (0xFFFF_FFFF, .dataMainBase, "no word"),
      (7, .dataMainBase, "no word"),
    ] as [(UInt32, WordText.Register, String)])
  func sentinelsHaveNames(word: UInt32, register: WordText.Register, begin: String) {
    #expect(WordText(word, in: register).text.hasPrefix(begin))
    #expect(WordText(word, in: register).offset == nil)
  }

  @Test func numbersAndTasksAreReadStrictly() {
    #expect(parseWord("0x10") == 16 && parseWord("10") == 10)
    for text in ["", "0x", "-1", "+1", "1e3", "ff", "0x1g", "99999999999999999999"] {
      #expect(parseWord(text) == nil, "\(text)")
    }
    #expect(parseTask("3:42") == TaskID(ring: 3, local: 42))
    #expect(parseTask("4294967338") == TaskID(ring: 1, local: 42))
    for text in ["8:1", "1:4294967296", "1:", ":1", "1:2:3", "34359738368", "a:b"] {
      #expect(parseTask(text) == nil, "\(text)")
    }
  }
}
