public import CPTO2Segment

/// What a scheduler stores to DATA_MAIN_BASE (proposal 326).
///
///     31  30      29 .......... 2   1 0
///     0   toggle  offset field      slot
///
/// The offset field is (descriptor byte offset >> 3) + 1; 0 means idle. The
/// toggle alternates per lane, so the word always differs from the one before.
@frozen @usableFromInline
package struct DispatchWord: Equatable {
  @usableFromInline package let rawValue: UInt32

  @inlinable @inline(__always)
  package init(rawValue: UInt32) { self.rawValue = rawValue }

  /// Nil when the descriptor lies beyond what the word can say: the check is
  /// on all 64 bits, before anything is narrowed.
  /// - Parameter limit: largest offset field, at most PTO2_WORD_OFFSET_MAX;
  ///   less in a session with a smaller address space.
  @inlinable @inline(__always)
  package init?(
    descriptorOffset: UInt64, slot: UInt32, toggle: Bool, limit: UInt32 = PTO2_WORD_OFFSET_MAX
  ) {
    let field = (descriptorOffset >> 3) &+ 1
    guard field <= UInt64(limit), descriptorOffset & 7 == 0,
      slot < UInt32(PTO2_SLOTS)
    else { return nil }
    rawValue =
      UInt32(truncatingIfNeeded: field) << UInt32(PTO2_WORD_OFFSET_SHIFT) | slot
      | (toggle ? PTO2_WORD_TOGGLE : 0)
  }

  /// What a word holds.
  @frozen @usableFromInline
  package enum Content: Equatable {
    case idle
    case exit
    case dispatch(descriptorOffset: UInt64, slot: UInt32)
    /// No scheduler writes this.
    case invalid
  }

  @inlinable @inline(__always)
  package var content: Content {
    if rawValue == PTO2_EXIT_SIGNAL { return .exit }
    if rawValue == PTO2_SCHEDULER_IDLE { return .idle }
    let field = (rawValue >> UInt32(PTO2_WORD_OFFSET_SHIFT)) & PTO2_WORD_OFFSET_MASK
    if rawValue == 0 || rawValue == PTO2_WORD_TOGGLE { return .idle }
    guard rawValue & PTO2_COND_FIN == 0, field >= 1, field <= PTO2_WORD_OFFSET_MAX,
      rawValue & PTO2_WORD_SLOT_MASK < UInt32(PTO2_SLOTS)
    else { return .invalid }
    return .dispatch(
      descriptorOffset: UInt64(field - 1) << 3, slot: rawValue & PTO2_WORD_SLOT_MASK)
  }

  @inlinable @inline(__always)
  package var toggle: Bool { rawValue & PTO2_WORD_TOGGLE != 0 }

  @inlinable @inline(__always)
  package static var exit: DispatchWord { DispatchWord(rawValue: PTO2_EXIT_SIGNAL) }
  @inlinable @inline(__always)
  package static var idle: DispatchWord { DispatchWord(rawValue: PTO2_SCHEDULER_IDLE) }
}

/// What a core stores to COND: bit 31 says FIN or ACK, the rest echoes the
/// dispatch word it is about.
@frozen @usableFromInline
package struct ConditionWord: Equatable {
  @usableFromInline package let rawValue: UInt32

  @inlinable @inline(__always)
  package init(rawValue: UInt32) { self.rawValue = rawValue }

  @inlinable @inline(__always)
  package static func ack(_ word: DispatchWord) -> ConditionWord {
    ConditionWord(rawValue: word.rawValue & ~PTO2_COND_FIN)
  }

  @inlinable @inline(__always)
  package static func fin(_ word: DispatchWord) -> ConditionWord {
    ConditionWord(rawValue: word.rawValue | PTO2_COND_FIN)
  }

  /// What a worker that takes a core over stores for a dispatch that it has yet to serve:
  /// the FIN of the word with the other toggle, which that lane cannot have had before.
  @inlinable @inline(__always)
  package static func notTaken(_ word: DispatchWord) -> ConditionWord {
    .fin(DispatchWord(rawValue: word.rawValue ^ PTO2_WORD_TOGGLE))
  }

  @inlinable @inline(__always)
  package static var coreIdle: ConditionWord { ConditionWord(rawValue: PTO2_CORE_IDLE) }
  @inlinable @inline(__always)
  package static var exited: ConditionWord { ConditionWord(rawValue: PTO2_EXITED) }

  /// How far a core has come with the dispatch on one of its lanes.
  @frozen @usableFromInline
  package enum Progress: Equatable {
    /// COND holds what it held before the dispatch.
    case notTaken
    /// ACK: the kernel has begun, or is about to.
    case acknowledged
    /// FIN: what the kernel has stored is there.
    case finished
    /// The core has left; then the session is over.
    case exited
    /// None of these: a kernel has overwritten its core's page.
    case garbage

    /// False only where it is certain that no kernel has run for this dispatch. A
    /// kernel has stored the garbage, and it may have been this dispatch's.
    @inlinable @inline(__always)
    package var hasBegun: Bool { self != .notTaken && self != .exited }
  }

  /// What this word, read from a lane's COND, says of the dispatch on that lane.
  /// Every answer to "has it begun?" comes from here.
  ///
  /// - Parameters:
  ///   - word: a dispatch, not IDLE or EXIT.
  ///   - previous: what COND held before. Nil after the scheduler's restart, when
  ///     nobody knows: then the dispatch counts as not taken when COND holds what it
  ///     can have held, which is CORE_IDLE before the first word of a lane (whose
  ///     toggle is 0), and otherwise the FIN of a word that has the other toggle and
  ///     could be a dispatch. Garbage that looks like that FIN is not recognised.
  @inlinable @inline(__always)
  package func progress(of word: DispatchWord, after previous: ConditionWord?) -> Progress {
    if self == .fin(word) { return .finished }
    if self == .ack(word) { return .acknowledged }
    if self == .exited { return .exited }
    let isPrevious = previous.map { self == $0 } ?? canPrecede(word)
    return isPrevious ? .notTaken : .garbage
  }

  @inlinable
  func canPrecede(_ word: DispatchWord) -> Bool {
    if self == .coreIdle { return !word.toggle }
    let last = DispatchWord(rawValue: rawValue & ~PTO2_COND_FIN)
    guard rawValue & PTO2_COND_FIN != 0, last.toggle != word.toggle,
      case .dispatch = last.content
    else { return false }
    return true
  }
}

/// A function_bin_addr: equal in every process, 0 = inactive.
@frozen @usableFromInline
package struct CallWord: Equatable {
  @usableFromInline package let rawValue: UInt64

  @inlinable @inline(__always)
  package init(rawValue: UInt64) { self.rawValue = rawValue }

  /// - Parameter kernel: image and offset, arity zero.
  @inlinable @inline(__always)
  package init(kernel: UInt64, tensors: Int, scalars: Int) {
    rawValue =
      kernel | UInt64(truncatingIfNeeded: tensors) << UInt64(PTO2_CALL_TENSORS_SHIFT)
      | UInt64(truncatingIfNeeded: scalars) << UInt64(PTO2_CALL_SCALARS_SHIFT)
  }

  /// A kernel of an image, arity zero.
  /// - Parameter offset: of the function from the image's load base; below 1 TiB.
  @inlinable @inline(__always)
  package init(image: Int, offset: UInt64) {
    rawValue =
      UInt64(truncatingIfNeeded: image + 1) << UInt64(PTO2_CALL_IMAGE_SHIFT) | offset
  }

  /// This kernel, called with so many arguments.
  @inlinable @inline(__always)
  package func with(tensors: Int, scalars: Int) -> CallWord {
    CallWord(kernel: rawValue, tensors: tensors, scalars: scalars)
  }

  /// No call: the task has no such subtask.
  @inlinable @inline(__always)
  package static var inactive: CallWord { CallWord(rawValue: 0) }

  /// Largest offset of a function from its image's load base.
  @inlinable
  package static var maximumOffset: UInt64 { PTO2_CALL_OFFSET_MASK }

  /// Image and offset alone: which function it is.
  @inlinable @inline(__always)
  package var kernel: UInt64 {
    rawValue & (PTO2_CALL_OFFSET_MASK | 0xFF << UInt64(PTO2_CALL_IMAGE_SHIFT))
  }

  /// -1 when inactive.
  @inlinable @inline(__always)
  package var image: Int { Int(rawValue >> UInt64(PTO2_CALL_IMAGE_SHIFT)) - 1 }
  @inlinable @inline(__always)
  package var tensors: Int { Int(rawValue >> UInt64(PTO2_CALL_TENSORS_SHIFT)) & 0x3F }
  @inlinable @inline(__always)
  package var scalars: Int { Int(rawValue >> UInt64(PTO2_CALL_SCALARS_SHIFT)) & 0xFF }
  @inlinable @inline(__always)
  package var offset: UInt64 { rawValue & PTO2_CALL_OFFSET_MASK }
  @inlinable @inline(__always)
  package var isSPMD: Bool { rawValue & PTO2_CALL_SPMD != 0 }
  @inlinable @inline(__always)
  package var hasSnapshot: Bool { rawValue & PTO2_CALL_SNAPSHOT != 0 }
}
