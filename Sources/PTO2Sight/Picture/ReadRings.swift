internal import CPTO2Segment
package import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

/// Rings and their oldest tasks.
extension PictureReader {
  /// From the oldest of each kind on, and the newest: what the picture may need of every ring.
  /// - Returns: the tasks that cores were told of; those of others are not copied.
  func copyRecords() -> [TaskID] {
    var told: [TaskID] = []
    for ring in copy.configuration.rings.indices {
      let now = positions(ring: ring)
      // The one before the oldest says where the oldest one's memory begins; consumed entries
      // that are behind that tell what was skipped.
      let back = min(64, copy.configuration.rings[ring].consumedWindow / 2)
      copy.copyRecords(
        .consumedRing, ring: ring, first: now.consumed &- back, count: back &+ taskLimit)
      for first in [now.consumed, now.released] {
        copyTasks(ring, first: first, count: taskLimit)
      }
      copyTasks(ring, first: now.current &- 2, count: 2)
      copyFanin(ring, now)
    }
    for core in 0..<copy.configuration.coreCount {
      for lane in 0..<copy.configuration.lanes {
        let word = DispatchWord(rawValue: copy.dispatchLanes(core).word(lane).loadRelaxed())
        guard case .dispatch(let offset, _) = word.content,
          let (ring, index) = copy.place(ofDescriptorAt: offset)
        else { continue }
        let now = positions(ring: ring)
        let id = now.released &+ ((index &- now.released) & (copy.mainRing(ring).count &- 1))
        copyTasks(ring, first: id, count: 1)
        copy.copyRecords(.consumedRing, ring: ring, first: id, count: 1)
        told.append(TaskID(ring: ring, local: id))
      }
    }
    return told
  }

  private func copyTasks(_ ring: Int, first: UInt32, count: UInt32) {
    copy.copyRecords(.mainRing, ring: ring, first: first, count: count)
    copy.copyRecords(.dispatchTable, ring: ring, first: first, count: count)
    copy.copyRecords(.slotStates, ring: ring, first: first, count: count)
    copy.copyRecords(.consumedRing, ring: ring, first: first, count: count)
  }

  /// The fanin lists of the oldest tasks that are not RELEASED.
  private func copyFanin(_ ring: Int, _ now: Positions) {
    let count = min(now.current &- now.released, taskLimit)
    guard count > 0, count <= copy.configuration.rings[ring].taskWindow else { return }
    let first = copy.mainRing(ring)[now.released]
    let last = copy.mainRing(ring)[now.released &+ count &- 1]
    let entries = last.faninFirst &+ last.faninCount &- first.faninFirst
    copy.copyRecords(.fanin, ring: ring, first: first.faninFirst, count: min(entries, 1 << 20))
  }

  /// Of a session that lives the words have moved while records were copied: the picture has
  /// the tasks that were submitted and wired before, and are not RELEASED or CONSUMED since.
  /// - Parameters:
  ///   - before: as the words were before the records.
  ///   - told: tasks whose records were copied wherever they are.
  func ring(
    _ index: Int, _ before: Positions, told: [TaskID], _ damage: inout [String]
  ) -> RingPicture {
    var ring = RingPicture(index: index, sizes: copy.configuration.rings[index])
    let now = positions(ring: index)
    // One that was read before another, which had then passed it.
    func raised(_ word: UInt32, to other: UInt32, later: UInt32) -> UInt32 {
      func isBehind(_ word: UInt32) -> Bool { Int32(bitPattern: word &- other) < 0 }
      return isBehind(word) && !isBehind(later) ? other : word
    }
    func moved(_ word: UInt32, to later: UInt32, within last: UInt32) -> UInt32 {
      word &+ min(later &- word, last &- word)
    }
    let released = raised(before.released, to: before.consumed, later: now.released)
    ring.wired = raised(before.wired, to: released, later: now.wired)
    ring.current = raised(before.current, to: ring.wired, later: now.current)
    ring.released = moved(released, to: now.released, within: ring.wired)
    ring.consumed = moved(before.consumed, to: now.consumed, within: ring.released)
    let peaks = copy.schedulerPage.counters.peaks(ring: index)
    ring.peaks.main = peaks.main
    ring.peaks.consumed = peaks.consumed
    ring.peaks.pool = peaks.pool
    ring.peaks.heap = peaks.heap
    guard ring.consumedUsed <= ring.sizes.consumedWindow,
      ring.mainUsed <= ring.sizes.taskWindow, ring.mainUsed <= ring.consumedUsed,
      ring.current &- ring.wired <= ring.mainUsed
    else {
      ring.isDamaged = true
      damage.append(
        "ring \(index): next task \(ring.current), wired \(ring.wired), released \(ring.released), consumed \(ring.consumed) contradict each other and windows of \(ring.sizes.taskWindow) and \(ring.sizes.consumedWindow) tasks"
      )
      return ring
    }
    readTasks(&ring, before, told, &damage)
    readUse(&ring)
    ring.skipped = skipped(ring)
    return ring
  }

  private func readTasks(
    _ ring: inout RingPicture, _ before: Positions, _ told: [TaskID], _ damage: inout [String]
  ) {
    func copied(_ first: UInt32, _ last: UInt32) -> UInt32 {
      taskLimit - min(last &- first, taskLimit)
    }
    var offsets = Set<UInt32>(
      0..<min(ring.consumedUsed, copied(before.consumed, ring.consumed)))
    let unreleased = ring.released &- ring.consumed
    offsets.formUnion(
      unreleased..<unreleased &+ min(ring.mainUsed, copied(before.released, ring.released)))
    for id in told where id.ring == ring.index && id.local &- ring.released < ring.mainUsed {
      offsets.insert(id.local &- ring.consumed)
    }
    var isDamaged = false
    for offset in offsets.sorted() {
      let task = task(TaskID(ring: ring.index, local: ring.consumed &+ offset), in: ring)
      if task.stage == .damaged && !isDamaged {
        isDamaged = true
        damage.append("task \(task.id): its records are another task's, or in no state there is")
      }
      ring.tasks.append(task)
    }
  }

  /// The task that a dispatch word names, in one of these rings, and which of its subtasks;
  /// nil where none begins, and for one that is RELEASED.
  func task(of word: DispatchWord, _ rings: [RingPicture]) -> (TaskID, UInt32)? {
    guard case .dispatch(let offset, let subtask) = word.content,
      let (ring, index) = copy.place(ofDescriptorAt: offset),
      let picture = rings.first(where: { $0.index == ring }), !picture.isDamaged
    else { return nil }
    let distance = (index &- picture.released) & (copy.mainRing(ring).count &- 1)
    guard distance < picture.mainUsed else { return nil }
    return (TaskID(ring: ring, local: picture.released &+ distance), subtask)
  }

  /// A task that is not CONSUMED, whether or not the picture has it, with what its payload
  /// says; nil when it is CONSUMED, or there is none of that id.
  package func task(_ id: TaskID, in picture: Picture) -> TaskPicture? {
    guard picture.rings.indices.contains(id.ring) else { return nil }
    let ring = picture.rings[id.ring]
    guard !ring.isDamaged, id.local &- ring.consumed < ring.consumedUsed else { return nil }
    copyTasks(id.ring, first: id.local &- 1, count: 2)
    let slot = copy.mainRing(id.ring)[id.local]
    copy.copyRecords(.fanin, ring: id.ring, first: slot.faninFirst, count: slot.faninCount)
    return detailed(task(id, in: ring))
  }

  private func task(_ id: TaskID, in ring: RingPicture) -> TaskPicture {
    let slot = copy.mainRing(ring.index)[id.local].header
    let hasSlot = slot.task_id == id.rawValue
    let isWired = Int32(bitPattern: ring.wired &- id.local) > 0
    let isReleased = Int32(bitPattern: ring.released &- id.local) > 0
    guard hasSlot || isReleased else {
      return TaskPicture(id: id, stage: isWired ? .damaged : .submitted)
    }
    var task = TaskPicture(id: id, stage: .submitted)
    if hasSlot { fill(&task, from: slot, ring, isReleased: isReleased) }
    guard isWired else {
      task.heapBytes = slot.heap_end &- slot.heap_begin
      return task
    }
    let entry = copy.consumedRing(ring.index)[id.local].copy()
    guard entry.task_id == id.rawValue, let state = TaskState(rawValue: entry.state) else {
      task.stage = .damaged
      return task
    }
    task.stage = .at(state)
    task.flags = SlotFlags(rawValue: entry.flags)
    task.references.taken = entry.fanout_count
    task.references.given = entry.fanout_refcount
    task.references.hasScopeEnded = entry.scope_ended != 0
    (task.blocks.count, task.near) = counted(entry.blocks)
    task.blocks.started = entry.blocks_started
    task.blocks.subtasksLeft = entry.subtasks_left
    task.outcome = entry.outcome
    task.kills = UInt32(entry.kills)
    let before = copy.consumedRing(ring.index)[id.local &- 1].copy()
    if before.task_id == TaskID(ring: ring.index, local: id.local &- 1).rawValue {
      task.heapBytes = entry.heap_end &- before.heap_end
    } else if hasSlot {
      task.heapBytes = slot.heap_end &- slot.heap_begin
    }
    if task.heapBytes > 2 * ring.sizes.heapBytes { task.heapBytes = 0 }
    return task
  }

  private func counted(_ bits: UInt32) -> (UInt32, cluster: Int?) {
    let word = BlockWord(bits: bits)
    return (word.count, word.cluster)
  }

  /// What a main slot says; it stays after RELEASED until another task gets it.
  private func fill(
    _ task: inout TaskPicture, from slot: pto2_main_slot, _ ring: RingPicture, isReleased: Bool
  ) {
    let ids = [slot.kernel_ids.0, slot.kernel_ids.1, slot.kernel_ids.2]
    for subtask in 0..<ids.count where slot.active_mask >> UInt8(subtask) & 1 == 1 {
      task.subtasks.append(
        .init(slot: UInt32(subtask), kernel: kernelName(Int(ids[subtask]))))
    }
    task.flags = SlotFlags(rawValue: slot.flags)
    let scope = ScopePlace(rawValue: slot.scope)
    task.scopeDepth = scope.depth
    (task.scopeName, task.name) = names(scope.name)
    (task.blocks.count, task.near) = counted(slot.blocks)
    guard !isReleased else { return }
    let state = copy.slotStates(ring.index)[task.id.local].copy()
    task.fanin.done = state.fanin_refcount
    task.fanin.count = state.fanin_count
    let pool = copy.fanin(ring.index)
    guard slot.fanin_count <= pool.count else { return }
    task.fanin.producers = (0..<min(slot.fanin_count, 4096)).map {
      pool[slot.fanin_first &+ $0].word
    }
  }

  // MARK: Use

  /// Heap, pool and payloads, between the oldest and the newest task.
  private func readUse(_ ring: inout RingPicture) {
    let table = copy.mainRing(ring.index)
    func slot(_ local: UInt32) -> pto2_main_slot? {
      let slot = table[local].header
      return slot.task_id == TaskID(ring: ring.index, local: local).rawValue ? slot : nil
    }
    func entry(_ local: UInt32) -> pto2_consumed_entry? {
      let entry = copy.consumedRing(ring.index)[local].copy()
      return entry.task_id == TaskID(ring: ring.index, local: local).rawValue ? entry : nil
    }
    (ring.heapUsed, ring.poolUsed, ring.payloadUsed) = (0, 0, 0)
    guard ring.consumedUsed > 0 else { return }
    let newest = slot(ring.current &- 1)
    let head = newest?.heap_end ?? entry(ring.current &- 1)?.heap_end
    let tail = slot(ring.consumed)?.heap_begin ?? entry(ring.consumed &- 1)?.heap_end
    ring.heapUsed = zip(head, tail).map(&-)
    // An empty heap begins behind its gap, so no more than there is.
    if let used = ring.heapUsed, used > ring.sizes.heapBytes {
      ring.heapUsed = used <= 2 * ring.sizes.heapBytes ? ring.sizes.heapBytes : nil
    }
    guard ring.mainUsed > 0 else { return }
    guard let newest, let oldest = slot(ring.released) else {
      (ring.poolUsed, ring.payloadUsed) = (nil, nil)
      return
    }
    let pool = newest.fanin_first &+ newest.fanin_count &- oldest.fanin_first
    ring.poolUsed = pool <= ring.sizes.dependencyPool ? pool : nil
    ring.payloadUsed = payloadUse(ring, newest: newest)
  }

  /// From the oldest task's payload to the end of the newest one's, around the ring.
  private func payloadUse(_ ring: RingPicture, newest: pto2_main_slot) -> UInt64? {
    let capacity = ring.sizes.payloadBytes
    let base = copy.layout.section(.payload, ring: ring.index).offset
    let last = ring.current &- 1
    guard newest.tensor_count <= PTO2_MAX_TENSORS, newest.scalar_count <= PTO2_MAX_SCALARS
    else { return nil }
    let bytes = PayloadShape(
      tensors: Int(newest.tensor_count), scalars: Int(newest.scalar_count)
    ).bytes(hasPredicate: newest.flags & UInt8(PTO2_SLOT_PREDICATE) != 0)
    let begin = copy.descriptors(ring.index)[ring.released].payload &- base
    let end = copy.descriptors(ring.index)[last].payload &- base &+ UInt64(bytes)
    guard begin < capacity, end <= capacity else { return nil }
    // From the oldest to itself: all of it, or tasks without payloads.
    if begin == end { return bytes > 0 ? capacity : 0 }
    return end > begin ? end - begin : capacity - begin + end
  }

  /// Those that are RELEASED, and behind the watermark those whose entries are still there.
  private func skipped(_ ring: RingPicture) -> [TaskID] {
    let held = ring.tasks.reversed().filter {
      $0.state == .released && $0.flags.contains(.predicate) && $0.blocks.started == 0
        && $0.outcome == 0
    }
    let back = min(
      64, ring.sizes.consumedWindow / 2, ring.consumed &- copy.configuration.firstPosition)
    return held.map(\.id)
      + (0..<back).compactMap { step in
        let id = TaskID(ring: ring.index, local: ring.consumed &- 1 &- step)
        let entry = copy.consumedRing(ring.index)[id.local].copy()
        let isSkipped =
          entry.task_id == id.rawValue && SlotFlags(rawValue: entry.flags).contains(.predicate)
          && entry.blocks_started == 0 && entry.outcome == 0
        return isSkipped ? id : nil
      }
  }
}

private func zip<A, B>(_ a: A?, _ b: B?) -> (A, B)? {
  if let a, let b { (a, b) } else { nil }
}
