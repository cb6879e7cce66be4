import CPTO2Segment
import PTO2Protocol
import PTO2System
import Testing

private let sentinels: [UInt32] = [
  0x7FFF_FFF0, 0x7FFF_FFFE, 0x7FFF_FFFF, 0x7FFF_FFFD,
]
private let largestField: UInt64 = 0x0FFF_FFFB

/// Every boundary of the offset field, and a wide sample between.
private let fields: [UInt64] = {
  var fields: Set<UInt64> = [1, 2, 3, largestField - 1, largestField]
  for bit in 0..<28 {
    for delta in -2...2 {
      let field = (Int64(1) << bit) + Int64(delta)
      if field >= 1, field <= largestField { fields.insert(UInt64(field)) }
    }
  }
  var random = SplitMix64(seed: 326)
  for _ in 0..<5000 { fields.insert(UInt64.random(in: 1...largestField, using: &random)) }
  for field in stride(from: UInt64(1), through: largestField, by: 65521) { fields.insert(field) }
  return fields.sorted()
}()

@Suite struct DispatchWordTests {
  @Test func sentinelsAreThoseOfTheProposalAndDistinct() {
    #expect(
      [PTO2_EXIT_SIGNAL, PTO2_EXITED, PTO2_CORE_IDLE, PTO2_SCHEDULER_IDLE] == sentinels)
    #expect(Set(sentinels).count == 4)
    #expect(DispatchWord.exit.rawValue == 0x7FFF_FFF0)
    #expect(DispatchWord.idle.rawValue == 0x7FFF_FFFD)
    #expect(ConditionWord.coreIdle.rawValue == 0x7FFF_FFFF)
    #expect(ConditionWord.exited.rawValue == 0x7FFF_FFFE)
  }

  @Test func wordRoundTripsForEverySlotAndToggle() throws {
    for field in fields {
      let offset = (field - 1) * 8
      for slot in UInt32(0)..<3 {
        for toggle in [false, true] {
          let word = try #require(
            DispatchWord(descriptorOffset: offset, slot: slot, toggle: toggle))
          #expect(word.content == .dispatch(descriptorOffset: offset, slot: slot))
          #expect(word.toggle == toggle)
          // The bits as the proposal draws them, put together by hand.
          let expected =
            UInt32(toggle ? 0x4000_0000 : 0) + UInt32(field) * 4 + slot
          #expect(word.rawValue == expected)
        }
      }
    }
  }

  @Test func noWordEqualsASentinelOrIdleOrItsPredecessor() throws {
    for field in fields {
      for slot in UInt32(0)..<3 {
        let words = [false, true].map {
          DispatchWord(descriptorOffset: (field - 1) * 8, slot: slot, toggle: $0)!.rawValue
        }
        #expect(words[0] != words[1])
        for word in words {
          #expect(!sentinels.contains(word))
          #expect(word != 0 && word != 0x4000_0000)
          #expect(word & 0x8000_0000 == 0)
        }
      }
    }
  }

  @Test func largestSafeFieldIsTheLastOne() {
    for slot in UInt32(0)..<3 {
      for toggle in [false, true] {
        #expect(
          DispatchWord(descriptorOffset: 0x0FFF_FFFA * 8, slot: slot, toggle: toggle) != nil)
        for field in UInt64(0x0FFF_FFFC)...0x1000_0002 {
          #expect(
            DispatchWord(descriptorOffset: (field - 1) * 8, slot: slot, toggle: toggle) == nil)
        }
      }
    }
  }

  /// Narrowed to 32 bits, or to the 28 of the field, these would look fine.
  @Test func offsetIsCheckedInFullWidth() {
    var random = SplitMix64(seed: 64)
    for high in 28..<61 {
      for _ in 0..<50 {
        let field = UInt64.random(in: 1...largestField, using: &random) | 1 << UInt64(high)
        #expect(DispatchWord(descriptorOffset: (field - 1) * 8, slot: 0, toggle: false) == nil)
      }
    }
    let offsets: [UInt64] = [
      1 << 32, (1 << 32) + 8, 1 << 35, UInt64.max, UInt64.max - 7, 1 << 63,
    ]
    for offset in offsets {
      #expect(DispatchWord(descriptorOffset: offset, slot: 0, toggle: true) == nil)
    }
  }

  @Test func unalignedOffsetAndFourthSlotAreRefused() {
    for offset in UInt64(1)..<8 {
      #expect(DispatchWord(descriptorOffset: 64 + offset, slot: 0, toggle: false) == nil)
    }
    for slot in [UInt32(3), 4, 255, UInt32.max] {
      #expect(DispatchWord(descriptorOffset: 64, slot: slot, toggle: false) == nil)
    }
  }

  /// Decoding by the drawing alone, written a second time.
  private func reference(_ raw: UInt32) -> DispatchWord.Content {
    switch raw {
    case 0x7FFF_FFF0: return .exit
    case 0x7FFF_FFFD, 0, 0x4000_0000: return .idle
    default: break
    }
    let field = UInt64(raw / 4 % 0x1000_0000)
    let slot = raw % 4
    if raw >= 0x8000_0000 || field == 0 || field > 0x0FFF_FFFB || slot == 3 { return .invalid }
    return .dispatch(descriptorOffset: field * 8 - 8, slot: slot)
  }

  @Test func anyWordDecodesAndGarbageIsInvalid() {
    var random = SplitMix64(seed: 7)
    var mismatches = 0
    for _ in 0..<200_000 {
      let raw = UInt32.random(in: 0...UInt32.max, using: &random)
      if DispatchWord(rawValue: raw).content != reference(raw) { mismatches += 1 }
    }
    for raw in stride(from: UInt64(0), through: UInt64(UInt32.max), by: 65537) {
      let word = UInt32(raw)
      if DispatchWord(rawValue: word).content != reference(word) { mismatches += 1 }
    }
    // Both sides of every place where the meaning changes.
    for center in [UInt64(0), 0x4000_0000, 0x7FFF_FFF0, 0x8000_0000, 0xFFFF_FFFF] {
      for raw in max(center, 64) - 64...min(center + 64, 0xFFFF_FFFF) {
        let word = UInt32(raw)
        if DispatchWord(rawValue: word).content != reference(word) { mismatches += 1 }
      }
    }
    #expect(mismatches == 0)
    #expect(DispatchWord(rawValue: 0x7FFF_FFFF).content == .invalid)
    #expect(DispatchWord(rawValue: 0x7FFF_FFFE).content == .invalid)
  }

  @Test func conditionWordEchoesTheDispatchWord() {
    for field in fields {
      for toggle in [false, true] {
        let word = DispatchWord(descriptorOffset: (field - 1) * 8, slot: 2, toggle: toggle)!
        let ack = ConditionWord.ack(word)
        let fin = ConditionWord.fin(word)
        #expect(ack.rawValue == word.rawValue)
        #expect(fin.rawValue == word.rawValue + 0x8000_0000)
        #expect(ack != fin && ack != .coreIdle && ack != .exited)
        #expect(fin != .coreIdle && fin != .exited)
      }
    }
  }
}

/// What COND says of a dispatch, for every pair of words near a place where the answer
/// changes, and for many others.
@Suite struct ProgressTests {
  private static let dispatches: [DispatchWord] = {
    var words: [DispatchWord] = []
    for field in [1, 2, 57, 0x0800_0000, largestField - 1, largestField] {
      for slot in UInt32(0)..<3 {
        for toggle in [false, true] {
          words.append(DispatchWord(descriptorOffset: (field - 1) * 8, slot: slot, toggle: toggle)!)
        }
      }
    }
    return words
  }()

  /// Every word within 4 of one that means something, in both halves, and a sample.
  private static let conditions: [UInt32] = {
    var words: Set<UInt32> = []
    let centers =
      dispatches.map(\.rawValue) + sentinels + [0, 0x4000_0000, 0x3FFF_FFF0, 0x7FFF_FFEC]
    for center in centers {
      for delta in UInt32(0)...8 {
        for high in [UInt32(0), 0x4000_0000, 0x8000_0000, 0xC000_0000] {
          words.insert((center &+ delta &- 4) ^ high)
        }
      }
    }
    var random = SplitMix64(seed: 11)
    for _ in 0..<2000 { words.insert(UInt32.random(in: 0...UInt32.max, using: &random)) }
    return words.sorted()
  }()

  /// By the drawing of the words alone, written a second time.
  private func reference(_ cond: UInt32, _ word: UInt32, previous: UInt32?)
    -> ConditionWord.Progress
  {
    if cond == word { return .acknowledged }
    if cond == word + 0x8000_0000 { return .finished }
    if cond == 0x7FFF_FFFE { return .exited }
    if let previous { return cond == previous ? .notTaken : .garbage }
    let hasToggle = word / 0x4000_0000 % 2 == 1
    if cond == 0x7FFF_FFFF { return hasToggle ? .garbage : .notTaken }
    let field = cond / 4 % 0x1000_0000
    let isFin = cond / 0x4000_0000 == (hasToggle ? 2 : 3)
    return isFin && (1...0x0FFF_FFFB).contains(field) && cond % 4 < 3
      ? .notTaken : .garbage
  }

  @Test func everyWordSaysWhatTheDrawingSays() {
    var mismatches: [String] = []
    for word in Self.dispatches {
      let previous: [UInt32] = [
        PTO2_CORE_IDLE, 0x8000_0004 | (word.toggle ? 0 : 0x4000_0000),
        ConditionWord.fin(DispatchWord(rawValue: word.rawValue ^ 0x4000_0000)).rawValue,
      ]
      for cond in Self.conditions + previous {
        let condition = ConditionWord(rawValue: cond)
        if condition.progress(of: word, after: nil)
          != reference(cond, word.rawValue, previous: nil)
        {
          mismatches.append("\(cond) of \(word.rawValue)")
        }
        for last in previous
        where condition.progress(of: word, after: ConditionWord(rawValue: last))
          != reference(cond, word.rawValue, previous: last)
        {
          mismatches.append("\(cond) of \(word.rawValue) after \(last)")
        }
      }
    }
    #expect(mismatches == [])
  }

  /// A scheduler that remembers the word before never says `notTaken` where one that
  /// does not would say anything else.
  @Test func whatIsNotTakenIsNotTakenAfterARestartToo() {
    for word in Self.dispatches {
      for before in Self.dispatches where before.toggle != word.toggle {
        let previous = ConditionWord.fin(before)
        #expect(previous.progress(of: word, after: previous) == .notTaken)
        #expect(previous.progress(of: word, after: nil) == .notTaken)
      }
    }
    #expect(
      ConditionWord.coreIdle.progress(of: Self.dispatches[0], after: nil) == .notTaken)
  }

  @Test func garbageCountsAsBegun() {
    for progress in [.acknowledged, .finished, .garbage] as [ConditionWord.Progress] {
      #expect(progress.hasBegun)
    }
    #expect(!ConditionWord.Progress.notTaken.hasBegun && !ConditionWord.Progress.exited.hasBegun)
    // Bit 31 and the toggle of the word itself: no FIN of the dispatch before.
    let word = DispatchWord(descriptorOffset: 64, slot: 0, toggle: false)!
    for cond in [0x8000_0000, 0x8000_0004, 0xFFFF_FFFF, 0xC000_0000, 0xC000_0007] as [UInt32] {
      #expect(ConditionWord(rawValue: cond).progress(of: word, after: nil).hasBegun)
    }
  }
}

@Suite struct CallWordTests {
  @Test func callWordRoundTrips() {
    var random = SplitMix64(seed: 3)
    for image in 0..<16 {
      for tensors in [0, 1, 5, 31, 32] {
        for scalars in [0, 1, 15, 16] {
          let offset = UInt64.random(in: 0...0xFF_FFFF_FFFF, using: &random)
          let kernel = UInt64(image + 1) << 56 | offset
          let call = CallWord(kernel: kernel, tensors: tensors, scalars: scalars)
          #expect(call.image == image)
          #expect(call.tensors == tensors)
          #expect(call.scalars == scalars)
          #expect(call.offset == offset)
          #expect(!call.isSPMD)
        }
      }
    }
  }

  @Test func inactiveCallHasNoImage() {
    #expect(CallWord(rawValue: 0).image == -1)
    #expect(CallWord(rawValue: 0).offset == 0)
  }

  @Test func flagBitsAreNotPartOfTheTensorCount() {
    let call = CallWord(rawValue: 0x01FF_0000_0000_0000)
    #expect(call.isSPMD && call.hasSnapshot)
    #expect(!CallWord(rawValue: 0x01BF_0000_0000_0000).hasSnapshot)
    #expect(!CallWord(rawValue: 0x017F_0000_0000_0000).isSPMD)
    #expect(call.tensors == 63)
    #expect(call.scalars == 0)
  }
}
