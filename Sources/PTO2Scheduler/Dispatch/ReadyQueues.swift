internal import CPTO2Segment
internal import PTO2Protocol

/// What a task needs to run, from its active mask.
enum TaskShape: Int, CaseIterable {
  /// No kernel: done as soon as it is ready, or the link's from then on.
  case dummy = 0
  /// Then the most demanding first: the order in which the queues are served.
  case aicAivX2
  case aicAivX1
  case aivX2
  case aicOnly
  case aivX1

  @inline(__always)
  static func of(mask: UInt8) -> TaskShape {
    switch mask {
    case 0: .dummy
    case 0b001: .aicOnly
    case 0b010, 0b100: .aivX1
    case 0b110: .aivX2
    case 0b011, 0b101: .aicAivX1
    default: .aicAivX2
    }
  }
}

/// One FIFO per shape, linked through one place per main slot: a ready task holds its
/// main slot, so there is room for everything that can be ready.
@safe struct ReadyQueues {
  static let none = UInt32.max

  fileprivate let links: ReadyLinks
  private let heads: UnsafeMutablePointer<UInt32>
  private let tails: UnsafeMutablePointer<UInt32>

  init(slotCount: Int) {
    links = ReadyLinks(slotCount: slotCount)
    unsafe heads = .allocate(capacity: TaskShape.allCases.count)
    unsafe tails = .allocate(capacity: TaskShape.allCases.count)
    unsafe heads.initialize(repeating: Self.none, count: TaskShape.allCases.count)
    unsafe tails.initialize(repeating: Self.none, count: TaskShape.allCases.count)
  }

  func deallocate() {
    links.deallocate()
    unsafe heads.deallocate()
    unsafe tails.deallocate()
  }

  @inline(__always)
  private func head(_ shape: TaskShape) -> Cell<UInt32> { unsafe Cell(heads + shape.rawValue) }
  @inline(__always)
  private func tail(_ shape: TaskShape) -> Cell<UInt32> { unsafe Cell(tails + shape.rawValue) }

  var hasTasks: Bool { TaskShape.allCases.contains { head($0).value != Self.none } }

  @inline(__always)
  func append(_ id: TaskID, slot: UInt32, shape: TaskShape) {
    links.task(slot).value = id.rawValue
    links.next(slot).value = Self.none
    let last = tail(shape).value
    if last == Self.none {
      head(shape).value = slot
    } else {
      links.next(last).value = slot
    }
    tail(shape).value = slot
  }

  @inline(__always)
  func first(_ shape: TaskShape) -> TaskID? {
    let slot = head(shape).value
    return slot == Self.none ? nil : TaskID(rawValue: links.task(slot).value)
  }

  @inline(__always)
  func removeFirst(_ shape: TaskShape) {
    head(shape).value = links.next(head(shape).value).value
    if head(shape).value == Self.none { tail(shape).value = Self.none }
  }

  /// Appends everything on the intake, oldest first.
  func take<S: Sharing>(_ intake: Intake, _: S.Type) {
    var slot = S.exchange(intake.head, Self.none)
    var oldest = Self.none
    while slot != Self.none {
      let older = links.next(slot).value
      links.next(slot).value = oldest
      oldest = slot
      slot = older
    }
    while oldest != Self.none {
      let newer = links.next(oldest).value
      let (id, shape) = intake.content(oldest)
      append(id, slot: oldest, shape: shape)
      oldest = newer
    }
  }
}

/// How tasks come to the queues when there are several threads: a stack that any
/// thread pushes to (Treiber 1986) and the dispatcher takes as a whole, so no place is
/// ever popped and pushed again while another thread holds its number.
@safe struct Intake {
  private let links: ReadyLinks
  let head: Cell<UInt32>

  /// The shape in a task's place, above the id.
  private static let shapeShift: UInt64 = 40

  init(to queues: ReadyQueues, head: Cell<UInt32>) {
    links = queues.links
    self.head = head
  }

  func push<S: Sharing>(_ id: TaskID, slot: UInt32, shape: TaskShape, _: S.Type) {
    links.task(slot).value = id.rawValue | UInt64(shape.rawValue) << Self.shapeShift
    while true {
      let first = S.load(head)
      links.next(slot).value = first
      // Release: the dispatcher sees the place, and all that the task needs.
      if S.compareExchange(head, first, slot) { return }
    }
  }

  fileprivate func content(_ slot: UInt32) -> (TaskID, TaskShape) {
    let task = links.task(slot).value
    return (
      TaskID(rawValue: task & (1 << Self.shapeShift - 1)),
      TaskShape(rawValue: Int(task >> Self.shapeShift))!
    )
  }
}

/// A place per main slot: its ready task, and the slot after it.
@safe private struct ReadyLinks {
  private let nexts: UnsafeMutablePointer<UInt32>
  private let tasks: UnsafeMutablePointer<UInt64>

  init(slotCount: Int) {
    unsafe nexts = .allocate(capacity: slotCount)
    unsafe tasks = .allocate(capacity: slotCount)
  }

  func deallocate() {
    unsafe nexts.deallocate()
    unsafe tasks.deallocate()
  }

  @inline(__always)
  func next(_ slot: UInt32) -> Cell<UInt32> { unsafe Cell(nexts + Int(slot)) }
  @inline(__always)
  func task(_ slot: UInt32) -> Cell<UInt64> { unsafe Cell(tasks + Int(slot)) }
}
