import CPTO2Segment
import PTO2Protocol

/// Register words, offsets, call words, ids, positions and the heap ring's
/// arithmetic over any bytes.
final class WordTarget: FuzzTarget {
  static let seeds: [[UInt8]] = {
    let words: [UInt32] = [
      0, 1, PTO2_WORD_TOGGLE, PTO2_EXIT_SIGNAL, PTO2_SCHEDULER_IDLE, PTO2_EXITED, PTO2_CORE_IDLE,
      PTO2_COND_FIN, 4, 4 | PTO2_WORD_TOGGLE, UInt32(PTO2_WORD_OFFSET_MAX) << 2 | 2,
    ]
    return words.map {
      var output = Output()
      output.number($0)
      output.number(UInt64($0) << 1)
      output.number(UInt64(64))
      output.put(1, 64, 2, 65, 0, 3)
      return output.bytes
    }
  }()

  func run(_ input: inout Input) {
    decode(input.number())
    encode(input.number(), limit: input.number())
    call(input.number())
    heap(&input)
  }

  private func decode(_ raw: UInt32) {
    let word = DispatchWord(rawValue: raw)
    let sentinels = [PTO2_EXIT_SIGNAL, PTO2_SCHEDULER_IDLE, PTO2_EXITED, PTO2_CORE_IDLE]
    switch word.content {
    case .dispatch(let offset, let slot):
      expect(slot < 3 && offset & 7 == 0, "decoded slot \(slot), offset \(offset)")
      let again = DispatchWord(descriptorOffset: offset, slot: slot, toggle: word.toggle)
      expect(
        again?.rawValue == raw,
        "0x\(String(raw, radix: 16)) encodes to \(String(describing: again))")
      let ack = ConditionWord.ack(word)
      let fin = ConditionWord.fin(word)
      expect(
        ack.progress(of: word, after: nil) == .acknowledged
          && fin.progress(of: word, after: nil) == .finished && ack.rawValue == raw,
        "ACK and FIN of \(raw)")
      for value in [raw, ack.rawValue, fin.rawValue] {
        expect(!sentinels.contains(value), "\(value) is a sentinel")
      }
    case .idle:
      expect(
        [0, PTO2_WORD_TOGGLE, PTO2_SCHEDULER_IDLE].contains(raw), "\(raw) is taken for idle")
    case .exit: expect(raw == PTO2_EXIT_SIGNAL, "\(raw) is taken for EXIT")
    case .invalid: break
    }
  }

  private func encode(_ offset: UInt64, limit: UInt32) {
    let limit = min(limit, UInt32(PTO2_WORD_OFFSET_MAX))
    for slot in UInt32(0)..<4 {
      for toggle in [false, true] {
        guard
          let word = DispatchWord(
            descriptorOffset: offset, slot: slot, toggle: toggle, limit: limit)
        else {
          let fits = offset & 7 == 0 && offset >> 3 < UInt64(limit) && slot < 3
          expect(!fits, "offset \(offset), slot \(slot) is refused")
          continue
        }
        expect(
          word.content == .dispatch(descriptorOffset: offset, slot: slot) && word.toggle == toggle,
          "offset \(offset), slot \(slot) decodes to \(word.content)")
      }
    }
  }

  private func call(_ raw: UInt64) {
    let word = CallWord(rawValue: raw)
    expect(word.image >= -1 && word.image < 255, "image \(word.image)")
    let again = CallWord(
      kernel: raw
        & (PTO2_CALL_OFFSET_MASK | PTO2_CALL_SPMD | PTO2_CALL_SNAPSHOT | 0xFF << 56),
      tensors: word.tensors, scalars: word.scalars)
    expect(again == word, "call word 0x\(String(raw, radix: 16)) does not come back")
    let id = TaskID(rawValue: raw & PTO2_FANIN_ID_MASK)
    expect(TaskID(ring: id.ring, local: id.local) == id, "task \(id) does not come back")
    let a = Position(UInt32(truncatingIfNeeded: raw))
    let b = Position(UInt32(truncatingIfNeeded: raw >> 32))
    if a.distance(from: b) != Int32.min {
      expect(a.distance(from: b) == -b.distance(from: a), "distance of \(a) and \(b)")
    }
  }

  /// Blocks of a small heap against a list of those alive.
  private func heap(_ input: inout Input) {
    var heap = HeapRing(capacity: 64 * UInt64(1 + input.index(16)))
    var alive: [HeapRing.Block] = []
    for _ in 0..<64 where !input.isEmpty {
      let byte = input.byte()
      if byte & 1 == 0 {
        if alive.isEmpty { continue }
        heap.free(upTo: alive.removeFirst().end)
        continue
      }
      let bytes = UInt64(byte >> 1) * 9
      guard let block = heap.place(bytes: bytes) else { continue }
      heap.take(block)
      let size = HeapRing.rounded(bytes)
      expect(block.offset + size <= heap.capacity, "\(block) lies beyond the heap")
      for other in alive where size > 0 {
        let otherEnd = other.offset + min(other.end - other.begin, heap.capacity - other.offset)
        expect(
          other.end == other.begin || block.offset >= otherEnd
            || block.offset + size <= other.offset || isGap(other, block, size, heap.capacity),
          "\(block) overlaps \(other)")
      }
      alive.append(block)
    }
  }

  /// A block behind a wrap gap begins at 0; its `begin` counts the gap, which
  /// lies at the end.
  private func isGap(
    _ other: HeapRing.Block, _ block: HeapRing.Block, _ size: UInt64, _ capacity: UInt64
  ) -> Bool {
    guard other.offset == 0 else { return false }
    let gap = other.begin % capacity == 0 ? 0 : capacity - other.begin % capacity
    return block.offset >= other.end - other.begin - gap
  }
}
