internal import CPTO2Link
internal import CPTO2Segment
internal import Glibc
internal import PTO2Protocol

/// Bytes of a message that do not lie in the segment. Freed by whoever has them last.
@safe struct MessageBuffer {
  let bytes: UnsafeMutableRawBufferPointer

  /// - Parameter count: 0 is as good as any.
  init(count: Int) {
    unsafe bytes = .allocate(byteCount: max(1, count), alignment: 64)
    self.count = count
  }

  let count: Int

  func free() { unsafe bytes.deallocate() }

  /// What is sent.
  var whole: UnsafeRawBufferPointer { unsafe UnsafeRawBufferPointer(place) }
  /// Where it is received.
  var place: UnsafeMutableRawBufferPointer {
    unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[..<count])
  }

  // MARK: Records

  init(_ meeting: pto2_meeting) {
    self.init(count: MemoryLayout<pto2_meeting>.size)
    unsafe bytes.storeBytes(of: meeting, as: pto2_meeting.self)
  }

  init(_ word: pto2_link_word) {
    self.init(count: MemoryLayout<pto2_link_word>.size)
    unsafe bytes.storeBytes(of: word, as: pto2_link_word.self)
  }

  /// Of a buffer as large as one.
  var meeting: pto2_meeting { unsafe bytes.load(as: pto2_meeting.self) }
  var word: pto2_link_word { unsafe bytes.load(as: pto2_link_word.self) }

  // MARK: Elements

  /// Gathers the elements in the order of the runs.
  /// - Parameter runs: checked; the buffer is as large as all of them.
  func gather(_ runs: ByteRuns, of memory: SegmentBytes) {
    var place = 0
    for (begin, end) in runs {
      unsafe memcpy(bytes.baseAddress! + place, memory.address(begin)!, Int(end - begin))
      place += Int(end - begin)
    }
  }

  /// Puts them back where they belong.
  func scatter(_ runs: ByteRuns, to memory: SegmentBytes) {
    var place = 0
    for (begin, end) in runs {
      unsafe memcpy(memory.address(begin)!, bytes.baseAddress! + place, Int(end - begin))
      place += Int(end - begin)
    }
  }
}
