package import CPTO2Segment

/// The start of the segment, as it stands there. Everything in it is published by the
/// magic.
@safe package struct SegmentHeader {
  private let record: UnsafePointer<pto2_header>

  /// - Parameter base: mapped for the life of this value.
  package init(at base: UnsafeRawPointer) {
    unsafe record = base.assumingMemoryBound(to: pto2_header.self)
  }

  /// Whole: for who has seen the magic.
  package var content: pto2_header { unsafe record.pointee }

  /// - Parameter index: less than PTO2_MAX_SECTIONS.
  package func section(_ index: Int) -> pto2_section {
    var header = content
    return unsafe withElements(&header.sections, of: pto2_section.self) { unsafe $0[index] }
  }
}

/// The header as the orchestrator fills it, once.
@safe package struct OwnedSegmentHeader {
  private let base: UnsafeMutableRawPointer

  /// - Parameter base: mapped writable for the life of this value.
  package init(at base: UnsafeMutableRawPointer) { unsafe self.base = base }

  /// All but the magic.
  package func fill(_ header: pto2_header, sections: [pto2_section]) {
    precondition(sections.count <= Int(PTO2_MAX_SECTIONS), "sections of a header")
    var header = header
    header.magic = 0
    header.section_count = UInt32(sections.count)
    unsafe withElements(&header.sections, of: pto2_section.self) { places in
      for (index, section) in sections.enumerated() { unsafe places[index] = section }
    }
    unsafe base.assumingMemoryBound(to: pto2_header.self).pointee = header
  }

  /// Stores the magic. Its release pairs with the acquire of whoever attaches: who sees
  /// the magic sees the whole header and every word initialised before.
  package func publish() { unsafe OwnedLongWord(base).storeRelease(PTO2_MAGIC) }
}

/// The elements of an array of C, which Swift sees as a tuple.
package func withElements<Tuple, Element, Result>(
  _ tuple: inout Tuple, of type: Element.Type,
  _ body: (UnsafeMutableBufferPointer<Element>) -> Result
) -> Result {
  unsafe withUnsafeMutableBytes(of: &tuple) { unsafe body($0.assumingMemoryBound(to: type)) }
}
