internal import PTO2Protocol
internal import PTO2Segment

/// What the program's thread waits for, told from the word that it sleeps on, its target, and
/// how full the rings are.
struct Blockage: Equatable {
  enum Need: Equatable {
    case log, mainWindow, pool, payload, consumedWindow, heap
    /// The program itself waits for tasks, up to this one.
    case tasks(last: TaskID)
    /// The run is over but for what is not CONSUMED.
    case end
    /// One of the two last, or room in the heap.
    case consumption
  }

  let need: Need
  let ring: Int
  /// Unless the word says so, the next submit would wait.
  let isSure: Bool
  private let text: String

  init?(_ picture: Picture) {
    guard let wait = picture.orchestrator.wait else {
      guard let full = Self.full(picture) else { return nil }
      self = full
      return
    }
    switch wait {
    case .wired:
      self.init(.log, 0, "submission log (\(picture.log.used) of \(picture.log.capacity) records)")
    case .released(let index):
      let ring = picture.rings[index]
      let need = Self.needOfReleased(ring, target: picture.orchestrator.target)
      self.init(need, index, Self.use(need, ring))
    case .consumed(let index):
      let ring = picture.rings[index]
      let need = Self.needOfConsumed(ring, picture)
      self.init(need, index, Self.use(need, ring))
    }
  }

  private init(_ need: Need, _ ring: Int, _ text: String, isSure: Bool = true) {
    self.need = need
    self.ring = ring
    self.text = text
    self.isSure = isSure
  }

  /// What the program does.
  var sentence: String {
    switch need {
    case .tasks(let last):
      return
        "The program waits (wait, get or set) until the tasks of ring \(ring) up to \(last) are RELEASED."
    case .end: return "The program is over, and waits until every task of ring \(ring) is CONSUMED."
    case .consumption:
      return
        "The program waits until the oldest tasks of ring \(ring) are CONSUMED: for room in its heap (\(text)), or because it is over."
    default:
      return isSure
        ? "The program waits in submit for the \(text)."
        : "The next submit would wait for the \(text)."
    }
  }

  /// What makes room, if the cause cannot be helped.
  func advice(_ picture: Picture) -> String? {
    let ring = picture.rings[self.ring]
    return switch need {
    case .log, .tasks, .end: nil
    case .mainWindow:
      "--task-window \(2 * UInt64(ring.sizes.taskWindow)) (PTO2_RING_TASK_WINDOW) lets the program go on longer"
    case .pool:
      "--dep-pool \(2 * UInt64(ring.sizes.dependencyPool)) (PTO2_RING_DEP_POOL) lets the program go on longer"
    case .payload:
      "--task-window \(2 * UInt64(ring.sizes.taskWindow)) (PTO2_RING_TASK_WINDOW) doubles the payload ring, too"
    case .consumedWindow:
      "--consumed-window \(2 * UInt64(ring.sizes.consumedWindow)) (PTO2_RING_CONSUMED_WINDOW) lets the program go on longer"
    case .heap, .consumption:
      "--heap \(2 * ring.sizes.heapBytes) (PTO2_RING_HEAP) lets the program go on longer"
    }
  }

  // MARK: Telling which

  private static func needOfReleased(_ ring: RingPicture, target: UInt32) -> Need {
    if ring.mainUsed >= ring.sizes.taskWindow { return .mainWindow }
    let pool = Double(ring.poolUsed ?? 0) / Double(ring.sizes.dependencyPool)
    let payload = Double(ring.payloadUsed ?? 0) / Double(ring.sizes.payloadBytes)
    if max(pool, payload) >= 0.5, target != ring.current || ring.mainUsed == 1 {
      return pool >= payload ? .pool : .payload
    }
    return .tasks(last: TaskID(ring: ring.index, local: target &- 1))
  }

  private static func needOfConsumed(_ ring: RingPicture, _ picture: Picture) -> Need {
    if ring.consumedUsed >= ring.sizes.consumedWindow { return .consumedWindow }
    if picture.orchestrator.target != ring.current { return .heap }
    // The outermost scope has ended, or it is the only one.
    if picture.log.lastScopeEnd == 0 && picture.rings.count > 1 { return .end }
    if ring.heapUsed == 0 { return .end }
    return .consumption
  }

  private static func use(_ need: Need, _ ring: RingPicture) -> String {
    let name = "of ring \(ring.index)"
    return switch need {
    case .mainWindow:
      "task window \(name) (\(ring.mainUsed) of \(ring.sizes.taskWindow) tasks are not RELEASED)"
    case .consumedWindow:
      "consumed window \(name) (\(ring.consumedUsed) of \(ring.sizes.consumedWindow) tasks are not CONSUMED)"
    case .pool:
      "dependency pool \(name) (\(ring.poolUsed ?? 0) of \(ring.sizes.dependencyPool) entries)"
    case .payload:
      "payload ring \(name) (\(ring.payloadUsed ?? 0) of \(ring.sizes.payloadBytes) bytes)"
    case .heap:
      "heap \(name) (\(ring.heapUsed ?? 0) of \(ring.sizes.heapBytes) bytes are in use)"
    case .consumption: "\(ring.heapUsed ?? 0) of \(ring.sizes.heapBytes) bytes are in use"
    case .log, .tasks, .end: ""
    }
  }

  /// A window that has no room for another task.
  private static func full(_ picture: Picture) -> Blockage? {
    for ring in picture.rings where !ring.isDamaged {
      let need: Need
      if ring.mainUsed >= ring.sizes.taskWindow {
        need = .mainWindow
      } else if ring.consumedUsed >= ring.sizes.consumedWindow {
        need = .consumedWindow
      } else if let used = ring.heapUsed, used > 0, used >= ring.sizes.heapBytes {
        need = .heap
      } else {
        continue
      }
      return Blockage(need, ring.index, use(need, ring), isSure: false)
    }
    return nil
  }
}
