internal import CPTO2Segment

/// All cores of a session as each of them sees the others.
@safe package struct CorePeers {
  private let lanes: RecordList<DispatchLanes<SharedWord>>
  private let pages: UnsafeRawPointer
  private let pageStride: Int
  package let count: Int

  /// - Parameter pages: the page of core 0, the others behind it; mapped for the life of
  ///   this value.
  package init(
    _ lanes: RecordList<DispatchLanes<SharedWord>>, pages: UnsafeRawPointer, pageStride: Int,
    count: Int
  ) {
    self.lanes = lanes
    unsafe self.pages = pages
    self.pageStride = pageStride
    self.count = count
  }

  /// - Parameter core: less than `count`.
  @inline(__always)
  package func page(_ core: Int) -> CorePage<SharedWord> {
    unsafe CorePage(at: pages + core * pageStride)
  }

  /// The word that says which dispatch the lane of a gate has.
  package func position(_ gate: Gate) -> SharedWord { lanes[gate.core][gate.lane].position }

  /// True when the dispatch that a gate names has finished. Acquire: what its kernel
  /// stored.
  /// - Parameter gate: plausible.
  @inline(__always)
  package func isOpen(_ gate: Gate) -> Bool {
    gate.isOpen(lanes[gate.core][gate.lane], page(gate.core).cond(gate.lane))
  }
}
