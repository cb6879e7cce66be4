internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2System

/// The tasks of a template, written one after another and published together: what is
/// inside was analysed when it was recorded.
extension Orchestrator {
  /// The roots are found, and disjoint. Where a ring has no room, what is written so far is
  /// published, and this waits as a submit does.
  mutating func submitAtOnce(
    _ template: borrowing TemplateTasks, _ boundary: borrowing TemplateBoundary,
    _ scalars: [UInt64]
  ) throws(PTO2Error) {
    Self.findUsers(boundary, &replaying, &buffers, &map)
    let ring = scopes.innermost.ring
    let first = rings[ring].current
    for _ in boundary.rootCount..<template.rootCount { replaying.roots.append(ReplayRoot()) }
    let isRoomy = hasRoom(for: template, ring)
    do throws(PTO2Error) {
      var index = 0
      while index < template.tasks.count {
        let task = template.tasks[index]
        findProducers(task, first, ring, template, boundary)
        try write(task, ring, template, scalars, isRoomy: isRoomy)
        index &+= 1
      }
    } catch {
      log.publish()
      throw error
    }
    log.publish()
    enter(boundary, first, ring)
  }

  // MARK: Producers

  /// Who has used the tensors from outside before the template.
  private static func findUsers(
    _ boundary: borrowing TemplateBoundary, _ replaying: inout ReplayState,
    _ buffers: inout BufferTable, _ map: inout TensorMap
  ) {
    replaying.found.removeAll()
    replaying.users.removeAll()
    for index in 0..<boundary.probes.count {
      var view = boundary.probes[index]
      let root = replaying.roots[view.buffer]
      view.move(to: root)
      let first = replaying.users.count
      _ = map.look(buffers[root.buffer].records, view.extent, view) { task, kind in
        replaying.users.append((task, kind))
      }
      replaying.found.append(
        Piece(first: UInt32(first), end: UInt32(replaying.users.count)))
    }
  }

  /// The fanin list of a task.
  @inline(__always)
  private mutating func findProducers(
    _ task: TemplateTask, _ first: UInt64, _ ring: Int, _ template: borrowing TemplateTasks,
    _ boundary: borrowing TemplateBoundary
  ) {
    producers.begin()
    for place in task.edges.range {
      let edge = template.edges[place]
      let producer = TaskOrdinal(ring: ring, ordinal: first &+ UInt64(edge.task))
      // Some may have been published, where a ring was full.
      if producer.ordinal < rings[ring].released {
        noteReleased(producer, edge.flags)
      } else {
        producers.addOther(producer, edge.flags)
      }
    }
    for place in task.accesses.range {
      let access = boundary.accesses[place]
      let root = replaying.roots[access.root]
      if root.owner != .none {
        producers.add(
          owner: root.owner, isKept: root.isKept, access.ownerFlags, &rings, &failed)
      }
      for probe in access.probes.range {
        for user in replaying.found[boundary.accessProbes[probe]].range {
          let (other, kind) = replaying.users[user]
          if kind == .writer {
            producers.note(other, access.writerFlags, &rings, &failed)
          } else if access.isWrite {
            producers.note(other, PTO2_FANIN_WAIT, &rings, &failed)
          }
        }
      }
    }
  }

  /// A producer inside that is RELEASED: its memory is held all the same unless it is
  /// CONSUMED, and it may have failed.
  @inline(never)
  private mutating func noteReleased(_ task: TaskOrdinal, _ flags: UInt64) {
    producers.note(task, flags, &rings, &failed)
    if flags & PTO2_FANIN_RETAIN != 0 && task.ordinal >= rings[task.ring].consumed {
      producers.addOther(task, flags)
    }
  }

  // MARK: Tasks

  /// Everything of a task but its publication.
  /// - Parameter isRoomy: there was room for all of the template's tasks together.
  @inline(__always)
  private mutating func write(
    _ task: TemplateTask, _ ring: Int, _ template: borrowing TemplateTasks,
    _ scalars: [UInt64], isRoomy: Bool
  ) throws(PTO2Error) {
    let room =
      isRoomy && rings[ring].hasPool(producers.count)
      ? Room(
        payload: rings[ring].payload.placeInRun(bytes: task.needs.payload),
        heap: rings[ring].heap.placeInRun(bytes: task.needs.outputs))
      : try roomOrWait(ring, task.needs)
    let (block, payload) = (room.heap, room.payload)
    try reserve(ring, block, payload, task.needs)

    let ordinal = TaskOrdinal(ring: ring, ordinal: rings[ring].current)
    let scope = scopes.innermost
    let place =
      task.header.scope == 0
      ? scope.place
      : scope.place(named: nameOfReplay(UInt16(ScopePlace(rawValue: task.header.scope).name)))
    // However few of its outputs can be named.
    let isHeld = task.header.flags & UInt8(PTO2_SLOT_HELD) != 0
    rings[ring].heap.take(block)
    rings[ring].payload.take(payload)
    rings[ring][memory: ordinal.ordinal] = TaskMemory(
      heapEnd: rings[ring].heap.head, payloadEnd: rings[ring].payload.head, hasOutputs: isHeld,
      scope: scope.serial)
    let heap = rings[ring].heapOffset + block.offset
    for place in task.kept.range { keep(template.kept[place], of: ordinal, scope, from: heap) }

    let writer = SlotWriter(ordinal, rings[ring], task.shape, payloadAt: payload.offset)
    var header = task.header
    header.task_id = ordinal.id.rawValue
    header.fanin_first = UInt32(truncatingIfNeeded: rings[ring].poolHead)
    header.fanin_count = UInt32(truncatingIfNeeded: producers.count)
    header.scope_previous = scope.lastHeld
    header.scope = place
    if producers.isCancelled { header.flags |= UInt8(PTO2_SLOT_CANCELLED) }
    header.output_offset = block.end == block.begin ? 0 : heap
    header.heap_begin = block.begin
    header.heap_end = block.end
    writer.slot.header = header
    writer.descriptor.setCalls(task.calls.0, task.calls.1, task.calls.2)
    writeArguments(writer, task, template, scalars, from: heap)
    writer.fanin(producers.list, from: rings[ring].poolHead, in: rings[ring].fanin)
    if header.flags & UInt8(PTO2_SLOT_SNAPSHOT) != 0 {
      segment.markSnapshotEmpty(
        at: heap + UInt64(header.snapshot_line) * UInt64(PTO2_CACHE_LINE))
    }
    rings[ring].advance(pool: producers.count)
    scopes.noteSubmitted(ordinal.id.local, isHeld: isHeld)
    counters.noteSubmitted(edges: producers.count)
    if trace.isOn { noteSubmission(ordinal, place) }
    log.write(
      pto2_log_record(
        kind: PTO2_LOG_TASK, ring: UInt32(truncatingIfNeeded: ring), id: ordinal.id.local,
        count: 0))
  }

  /// The log, the windows, the payload ring and the heap have room for a whole template, one
  /// task's behind the other. How many producers come from outside is known task by task.
  private func hasRoom(for template: borrowing TemplateTasks, _ ring: Int) -> Bool {
    let count = template.tasks.count
    return log.hasRoom(for: count) && rings[ring].hasWindow(count)
      && rings[ring].payload.hasRun(bytes: template.needs.payload)
      && rings[ring].heap.hasRun(bytes: template.needs.outputs)
  }

  /// What is written so far is published before a wait.
  @inline(__always)
  private mutating func roomOrWait(_ ring: Int, _ needs: TaskNeeds) throws(PTO2Error) -> Room {
    if case .room(let room) = lookForRoom(ring, needs) { return room }
    log.publish()
    return try waitForRoom(ring, needs)
  }

  /// Tensors, scalars and predicate. An output's root is where its task puts it.
  @inline(__always)
  private mutating func writeArguments(
    _ writer: SlotWriter, _ task: TemplateTask, _ template: borrowing TemplateTasks,
    _ scalars: [UInt64], from heap: UInt64
  ) {
    var index = 0
    var place = task.tensors.first
    while place < task.tensors.end {
      let root = template.tensors[place].root
      if template.tensors[place].isOutput {
        replaying.roots[root].base = heap &+ template.tensors[place].place
      }
      writer.set(index, template.tensors[place].tensor, from: replaying.roots[root].base)
      index &+= 1
      place &+= 1
    }
    place = task.scalars.first
    while place < task.scalars.end {
      let scalar = template.scalars[place]
      writer.set(index, scalar.hole < 0 ? scalar.bits : scalars[Int(scalar.hole)])
      index &+= 1
      place &+= 1
    }
    for place in task.predicate.range {
      let predicate = template.predicates[place]
      let root = replaying.roots[predicate.argument.buffer]
      writer.set(predicate, at: root.base &+ predicate.argument.offset)
    }
  }

  /// An output that can be named afterwards.
  private mutating func keep(
    _ output: KeptOutput, of task: TaskOrdinal, _ scope: Scope, from heap: UInt64
  ) {
    let place = buffers.make(bytes: output.bytes, state: .placed)
    buffers[place].offset = heap + output.place
    buffers[place].owner = task
    buffers[place].scope = scope.serial
    buffers[place].next = rings[task.ring][memory: task.ordinal].firstBuffer
    rings[task.ring][memory: task.ordinal].firstBuffer = place
    replaying.roots[output.root].buffer = place
  }

  // MARK: Afterwards

  /// The TensorMap learns who has used the tensors that others can name.
  private mutating func enter(
    _ boundary: borrowing TemplateBoundary, _ first: UInt64, _ ring: Int
  ) {
    var last = UInt32.max
    for index in 0..<boundary.entries.count {
      let entry = boundary.entries[index]
      if entry.task != last { map.beginEntering() }
      last = entry.task
      var argument = entry.argument
      argument.move(to: replaying.roots[argument.buffer])
      producers.enter(
        TaskOrdinal(ring: ring, ordinal: first &+ UInt64(entry.task)), argument, at: nil,
        &buffers, &map, &rings, &failed)
    }
  }

  // MARK: One by one

  /// The same with all of the analysis, for tensors that are not to each other what the
  /// recorded ones were, and a TensorMap that is nearly full.
  mutating func submitOneByOne(
    _ template: borrowing TemplateTasks, _ boundary: borrowing TemplateBoundary,
    _ scalars: [UInt64]
  ) throws(PTO2Error) {
    let ring = scopes.innermost.ring
    let first = rings[ring].current
    for _ in boundary.rootCount..<template.rootCount { replaying.roots.append(ReplayRoot()) }
    for index in 0..<template.tasks.count {
      let task = template.tasks[index]
      try beginStaging()
      for place in task.tensors.range { restage(template.arguments[place]) }
      for place in task.scalars.range {
        let scalar = template.scalars[place]
        staged.add(scalar: scalar.hole < 0 ? scalar.bits : scalars[Int(scalar.hole)])
      }
      for place in task.predicate.range {
        var predicate = template.predicates[place]
        predicate.argument.move(to: replaying.roots[predicate.argument.buffer])
        staged.add(predicate)
      }
      for place in task.dependencies.range {
        let dependency = template.dependencies[place]
        let ordinal = TaskOrdinal(ring: ring, ordinal: first &+ UInt64(dependency.task))
        stageDependency(ordinal.id, dependency.flags & PTO2_FANIN_RETAIN != 0)
      }
      let attributes = template.attributes[index]
      staged.attributes.blocks = attributes.blocks
      staged.attributes.startsTogether = attributes.startsTogether
      staged.attributes.recovery = attributes.recovery
      if attributes.name != 0 { staged.attributes.name = nameOfReplay(attributes.name) }
      _ = try submit(attributes.kernels)
    }
  }

  private mutating func restage(_ argument: StagedArgument) {
    let root = argument.buffer
    if argument.access == .output {
      replaying.roots[root].buffer = buffers.make(
        bytes: HeapRing.rounded(argument.end), state: .declared)
    }
    var argument = argument
    argument.move(to: replaying.roots[root])
    staged.add(argument)
  }
}

extension StagedArgument {
  /// From a template to the replay in hand.
  @inline(__always)
  fileprivate mutating func move(to root: ReplayRoot) {
    buffer = root.buffer
    offset &+= root.offset
    end &+= root.offset
  }
}

extension SlotWriter {
  @inline(__always)
  fileprivate func set(_ index: Int, _ tensor: pto2_tensor, from base: UInt64) {
    let offset = base &+ tensor.offset
    unsafe arguments[index] = offset
    payload.setTensor(index, tensor, at: offset)
  }

  /// - Parameter index: among tensors and scalars.
  @inline(__always)
  fileprivate func set(_ index: Int, _ scalar: UInt64) { unsafe arguments[index] = scalar }

  @inline(__always)
  fileprivate func set(_ predicate: StagedPredicate, at offset: UInt64) {
    payload.setPredicate(
      pto2_slot_predicate(
        offset: offset, value: predicate.value, dtype: predicate.argument.dataType.rawValue,
        comparison: predicate.comparison, reserved: (0, 0, 0, 0, 0, 0)))
  }
}
