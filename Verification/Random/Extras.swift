import PTO2
import PTO2System

/// What makes a plain task less plain: blocks, predicates, more access modes,
/// more views, explicit dependencies, manual scopes. Takes its numbers from a
/// seed of its own, so the rest of a program does not depend on it.
struct Extras {
  private var random: SplitMix64
  private let manualPercent: Int
  private let untrackedPercent: Int
  private let existingPercent: Int
  private let viewPercent: Int
  private let blockPercent: Int
  private let predicatePercent: Int
  private let dependencyPercent: Int

  /// - Parameters:
  ///   - isReplayed: without explicit dependencies, and what needs them.
  ///   - isPlaced: without what has no order that a transfer could follow.
  init(seed: UInt64, isReplayed: Bool = false, isPlaced: Bool = false) {
    random = SplitMix64(seed: seed &* 0x9E37_79B9_7F4A_7C15 ^ 0x5EED)
    let manual = [0, 0, 30, 70].randomElement(using: &random)!
    let untracked = [0, 0, 10, 40].randomElement(using: &random)!
    existingPercent = [0, 10, 30].randomElement(using: &random)!
    viewPercent = [0, 20, 50].randomElement(using: &random)!
    blockPercent = [0, 5, 20].randomElement(using: &random)!
    predicatePercent = [0, 3, 10].randomElement(using: &random)!
    let dependency = [0, 5, 20].randomElement(using: &random)!
    manualPercent = isReplayed || isPlaced ? 0 : manual
    untrackedPercent = isReplayed || isPlaced ? 0 : untracked
    dependencyPercent = isReplayed ? 0 : dependency
  }

  mutating func isManualScope() -> Bool { chance(manualPercent) }

  /// Blocks of a task with these kernels.
  mutating func addBlocks(to task: inout TaskDescription) {
    guard chance(blockPercent) else { return }
    task.blocks = number(1...5)
    // One block always has a place; two have when they need an AIV each.
    let aivOnly = task.kernels[0] == nil && task.kernels.count { $0 != nil } == 1
    task.startTogether = task.blocks <= (aivOnly ? 2 : 1) && chance(50)
  }

  /// Another access to the same elements, or to some of them.
  mutating func vary(_ argument: inout Argument, in task: TaskDescription, maximumElements: Int) {
    if chance(viewPercent) { varyView(&argument, maximumElements: maximumElements) }
    if chance(untrackedPercent) {
      let other: Argument.Access = argument.isRead ? .updatedUntracked : .readUntracked
      if !task.arguments.contains(where: { $0.access == other }) {
        argument.access = argument.isRead ? .readUntracked : .updatedUntracked
      }
    } else if argument.access == .inout, chance(existingPercent) {
      argument.access = .outputExisting
    }
  }

  private mutating func varyView(_ argument: inout Argument, maximumElements: Int) {
    let rank = argument.view.shape.count
    switch number(0...2) {
    case 0 where rank > 1:
      argument.view.transpose(number(0...rank - 1), number(0...rank - 1))
    case 1:
      let shape = argument.view.shape
      let steps = shape.map { _ in number(1...3) }
      let offsets = shape.map { number(0...min($0 - 1, 2)) }
      let extents = shape.indices.map { number(1...(shape[$0] - 1 - offsets[$0]) / steps[$0] + 1) }
      argument.view.every(steps, offsets, extents)
    case 2 where argument.isRead:
      var extents = argument.view.shape.map { $0 == 1 && chance(50) ? number(1...4) : $0 }
      while extents.count < 5 && chance(30) { extents.insert(number(1...3), at: 0) }
      if extents.reduce(1, *) <= 2 * maximumElements { argument.view.broadcast(extents) }
    default: break
    }
  }

  mutating func wantsPredicate() -> Bool { chance(predicatePercent) }

  /// A predicate that is about as often true as false, on an element of a view.
  mutating func predicate(on view: View, _ type: DataType) -> PredicateDescription {
    let place = number(0...view.elements.count - 1)
    let value: PredicateDescription.Value =
      switch type {
      case .float32, .float16, .bfloat16, .float8E4M3FN, .float8E5M2:
        .real([0, 1, -0.5].randomElement(using: &random)!)
      case .bool: .integer([0, 1].randomElement(using: &random)!)
      case .int8, .int16, .int32, .int64: .integer([0, 0, -1].randomElement(using: &random)!)
      case .uint8, .uint16, .uint32:
        .integer([0, 1 << (8 * type.byteCount - 1), -1].randomElement(using: &random)!)
      case .uint64: .integer([0, Int.max, Int.max, -1].randomElement(using: &random)!)
      }
    return PredicateDescription(
      view: view, index: View.index(place, view.shape), place: place,
      comparison: Comparison.allCases.randomElement(using: &random)!, value: value)
  }

  /// Dependencies that nobody needs.
  mutating func dependencies(submitted: Int, open: [Int]) -> [Dependency] {
    guard chance(dependencyPercent) else { return [] }
    var list: [Dependency] = []
    if submitted > 0 {
      list.append(Dependency(task: number(0...submitted - 1), isRetained: false))
      list.append(
        Dependency(task: number(max(0, submitted - 10)...submitted - 1), isRetained: false))
    }
    for _ in 0..<2 where !open.isEmpty {
      list.append(Dependency(task: open.randomElement(using: &random)!, isRetained: true))
    }
    return list
  }

  private mutating func number(_ range: ClosedRange<Int>) -> Int {
    Int.random(in: range, using: &random)
  }

  private mutating func chance(_ percent: Int) -> Bool { number(0...99) < percent }
}
