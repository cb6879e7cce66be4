internal import CPTO2Segment
package import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

/// A session in text, whole or a part of it.
package struct Inspection {
  let picture: Picture
  package init(_ picture: Picture) { self.picture = picture }

  /// Header, processes, rings and cores.
  package var text: String {
    header + "\n" + processes + "\n" + ringTable + "\n" + coreTable + damage
  }

  package var damage: String { picture.damage.map { "Damaged: \($0)\n" }.joined() }

  // MARK: Parts

  package var header: String {
    let session = picture.session
    let configuration = session.configuration
    var lines = [
      "segment       \(picture.place)",
      "bytes         \(session.totalBytes), of which \(session.allocatedBytes) are taken",
      "ABI           \(PTO2_SEGMENT_MAJOR).\(PTO2_SEGMENT_MINOR)",
      "attached      \(session.isAttached ? "yes" : session.isOfAnotherBoot ? "nobody: it is of another boot" : "nobody")",
      "cores         \(configuration.coreCount), with \(configuration.lanes) lanes each",
      "scheduler     threads: \(configuration.schedulerThreads)\(configuration.worksAhead ? ", works ahead" : "")",
      "log           \(picture.log.used) of \(picture.log.capacity) records are not wired",
      "control       \(controlText)",
    ]
    if let blockage = Blockage(picture) { lines.append("program       \(blockage.sentence)") }
    let counts = picture.scheduler.counts
    lines.append(
      "not well      \(counts.failed) failed, \(counts.cancelled) cancelled, \(counts.lost) subtasks lost their worker, \(counts.quarantined) workers quarantined"
    )
    for failure in picture.scheduler.failures.prefix(8) {
      lines.append(
        "failed        task \(failure.task)\(failure.name.map { " \"\($0)\"" } ?? "") (kernel \(failure.kernel)) with error \(failure.code), on core \(CoreID(failure.core)) after \(failure.kills) deaths"
      )
    }
    if let trace = picture.trace { lines.append("trace         \(trace.text)") }
    lines += picture.errors.map { "error         \($0)" }
    lines += session.images.map { "image         \($0)" }
    return lines.map { $0 + "\n" }.joined()
  }

  private var controlText: String {
    "orchestrator \(picture.orchestrator.control), scheduler \(picture.scheduler.control)"
  }

  private var processes: String {
    var table = TextTable([
      .init("process"), .init("pid", .right), .init("state"), .init("started by"),
      .init("number", .right),
    ])
    func add(_ role: String, _ process: ProcessFacts?) {
      guard let process else { return table.add([role, "-", "never started", "", ""]) }
      table.add([
        role, "\(process.pid)", process.activity.rawValue,
        role == "orchestrator" ? "" : process.isSupervised ? "launcher" : "hand",
        "\(process.incarnation)",
      ])
    }
    add("orchestrator", picture.orchestrator.process)
    add("scheduler", picture.scheduler.process)
    for core in picture.cores { add("worker of \(core.id)", core.process) }
    return table.text
  }

  private var ringTable: String {
    var table = TextTable([
      .init("ring", .right), .init("next", .right), .init("wired", .right),
      .init("released", .right), .init("consumed", .right), .init("window", .right),
      .init("consumed window", .right), .init("heap", .right), .init("pool", .right),
    ])
    for ring in picture.rings {
      table.add([
        "\(ring.index)", "\(ring.current)", "\(ring.wired)", "\(ring.released)",
        "\(ring.consumed)", ring.isDamaged ? "?" : "\(ring.mainUsed)/\(ring.sizes.taskWindow)",
        ring.isDamaged ? "?" : "\(ring.consumedUsed)/\(ring.sizes.consumedWindow)",
        "\(ring.heapUsed.map { bytes($0) } ?? "?")/\(bytes(ring.sizes.heapBytes))",
        "\(ring.poolUsed.map { "\($0)" } ?? "?")/\(ring.sizes.dependencyPool)",
      ])
    }
    return table.text
  }

  private var coreTable: String {
    var table = TextTable([
      .init("core"), .init("state"), .init("lanes", .right), .init("kernels", .right),
      .init("cpu", .right), .init("runs"),
    ])
    for core in picture.cores {
      let lane = core.running ?? core.outstanding.first
      let what = lane.map { lane in
        (lane.kernel.isEmpty ? "?" : lane.kernel) + (lane.task.map { " of task \($0)" } ?? "")
      }
      table.add([
        "\(core.id)", CoreState(core).rawValue, "\(core.outstanding.count)", "\(core.kernels)",
        core.cpu.map { "\($0)" } ?? "-", what ?? "",
      ])
    }
    return table.text
  }

  // MARK: One of them

  /// A ring and its oldest tasks; nil when there is none of that number.
  package func ring(_ index: Int) -> String? {
    guard picture.rings.indices.contains(index) else { return nil }
    let ring = picture.rings[index]
    var one = picture
    one.rings = [ring]
    var table = TextTable([
      .init("task"), .init("state"), .init("kernels"), .init("fanin", .right),
      .init("references", .right), .init("heap", .right), .init("scope"),
    ])
    for task in ring.tasks.prefix(32) {
      table.add([
        "\(task.id)\(task.name.map { " \"\($0)\"" } ?? "")", stageText(task),
        task.transfer?.text ?? task.subtasks.map(\.kernel).joined(separator: ","),
        task.fanin.count == 0 ? "-" : "\(task.fanin.done)/\(task.fanin.count)",
        "\(task.references.left)/\(task.references.taken)", bytes(task.heapBytes),
        (task.references.hasScopeEnded ? "ended" : "open")
          + (task.scopeName.map { " \"\($0)\"" } ?? ""),
      ])
    }
    let more = Int(ring.consumedUsed) - min(32, ring.tasks.count)
    let peaks =
      "peaks: \(ring.peaks.main) tasks to RELEASED, \(ring.peaks.consumed) to CONSUMED, \(bytes(ring.peaks.heap)) of heap, \(ring.peaks.pool) of the pool\n"
    return Inspection(one).ringTable + peaks + "\n"
      + (ring.tasks.isEmpty ? "every task is CONSUMED\n" : table.text)
      + (more > 0 ? "and \(more) more\n" : "") + damage
  }

  /// A task with what it waits for and who waits for it; nil when it is not looked at.
  package func task(_ task: TaskPicture) -> String {
    var lines = [
      "task          \(task.id)\(task.name.map { " \"\($0)\"" } ?? "")",
      "state         \(stageText(task))",
      "kernels       \(task.subtasks.isEmpty ? "-" : task.subtasks.map { "\(slotName($0.slot)) \($0.kernel)" }.joined(separator: ", "))",
    ]
    if let transfer = task.transfer {
      lines.append("transfer      \(transfer.text), transfer \(transfer.sequence)")
    }
    if task.blocks.count > 1 {
      lines.append("blocks        \(task.blocks.started) of \(task.blocks.count) dispatched")
    }
    if let cluster = task.near { lines.append("near          cluster \(cluster)") }
    lines.append("without FIN   \(task.blocks.subtasksLeft) subtasks")
    if let depth = task.scopeDepth {
      lines.append(
        "scope         \(task.scopeName.map { "\"\($0)\", " } ?? "")depth \(depth), \(task.references.hasScopeEnded ? "ended" : "open")"
      )
    }
    lines.append(
      "references    \(task.references.left) of \(task.references.taken) not given back")
    let outputs = task.outputs.isEmpty ? "" : ": \(task.outputs.joined(separator: ", "))"
    lines.append("heap          \(task.heapBytes) bytes\(outputs)")
    if let outcome = outcomeText(task) { lines.append("outcome       \(outcome)") }
    if task.kills > 0 { lines.append("died          \(task.kills) workers while they ran it") }
    if let predicate = task.predicate {
      lines.append(
        "predicate     \(predicate.type) element, now \(predicate.element ?? "gone"), \(predicate.sign) \(predicate.value): \(predicate.isTrue.map { "\($0)" } ?? "not known")"
      )
    }
    for (core, lane) in lanes(of: task.id) {
      lines.append("on            core \(core.id), lane \(lane.index): \(progressText(lane))")
    }
    lines.append(
      task.fanin.count == 0
        ? "fanin         given back"
        : "fanin         \(task.fanin.producers.count) producers, \(task.fanin.done) of \(task.fanin.count) counts done"
    )
    for word in task.fanin.producers.prefix(64) {
      let what = picture.task(word.producer).map(stageText) ?? "CONSUMED"
      let how = [
        word.waits ? "waits" : nil, word.retains ? "retains" : nil,
        word.needsData ? "needs its data" : nil,
      ].compactMap { $0 }.joined(separator: ", ")
      lines.append("  task \(word.producer)  \(what)  \(how)")
    }
    let consumers = picture.consumers(of: task.id)
    lines.append("fanout        \(consumers.count) consumers that are not RELEASED")
    lines += consumers.prefix(64).map { "  task \($0.id)  \(stageText($0))" }
    return lines.map { $0 + "\n" }.joined() + damage
  }

  /// A core with its words.
  package func core(_ core: CorePicture) -> String {
    var lines = [
      "core          \(core.id)", "state         \(CoreState(core).rawValue)",
      "process       \(core.process.map { "\($0.pid), \($0.activity.rawValue), number \($0.incarnation)" } ?? "never started")",
      "sleeps        \(parkedText(core.parked))",
      "kernels       \(core.kernels), the last on CPU \(core.cpu.map { "\($0)" } ?? "-")",
    ]
    if core.crashSignal != 0 {
      lines.append(
        "crash         signal \(core.crashSignal)\(core.crashPlace.map { ", in " + $0 } ?? "")")
    }
    if let error = core.error { lines.append("error         \(error.message)") }
    for lane in core.lanes where lane.isOutstanding || lane.isIllegal || lane.position != 0 {
      let task = lane.task.map { ", task \($0) \(lane.kernel)" } ?? ""
      lines.append(
        "lane \(pad("\(lane.index)", 2))       \(progressText(lane)), dispatch \(lane.position)\(task)"
      )
      lines.append(
        "  DATA_MAIN_BASE \(hex(lane.word.rawValue)): \(WordText(lane.word.rawValue, in: .dataMainBase).text)"
      )
      lines.append(
        "  COND           \(hex(lane.condition.rawValue)): \(WordText(lane.condition.rawValue, in: .cond).text)"
      )
      for gate in lane.gates {
        lines.append(
          "  gate: core \(CoreID(gate.core)), lane \(gate.lane), \(gate.isOpen ? "open" : "closed")"
        )
      }
    }
    return lines.map { $0 + "\n" }.joined() + damage
  }

  private func lanes(of task: TaskID) -> [(CorePicture, LanePicture)] {
    picture.cores.flatMap { core in
      core.lanes.filter { $0.task == task && $0.isOutstanding }.map { (core, $0) }
    }
  }
}

// MARK: Words

/// What a core does, as its words say.
package enum CoreState: String, Sendable {
  case running, gate, waiting, idle, stopped, dead, starting
  case never = "never started"

  package init(_ core: CorePicture) {
    guard let process = core.process else {
      self = .never
      return
    }
    self =
      switch process.activity {
      case .gone: .dead
      case .stopped, .traced: .stopped
      default:
        if !core.isServed {
          .starting
        } else if core.running != nil {
          .running
        } else if case .gate = core.parked, !core.outstanding.isEmpty {
          .gate
        } else {
          core.outstanding.isEmpty ? .idle : .waiting
        }
      }
  }
}

func stageText(_ task: TaskPicture) -> String {
  switch task.stage {
  case .submitted: "submitted"
  case .damaged: "damaged"
  case .at(let state): "\(state)".uppercased()
  }
}

func slotName(_ slot: UInt32) -> String {
  SubtaskSlot(rawValue: slot).map { "\($0)".uppercased() } ?? "?"
}

private func outcomeText(_ task: TaskPicture) -> String? {
  switch task.outcome {
  case 0: nil
  case PTO2_OUTCOME_CANCELLED: "CANCELLED: a producer did not end well"
  default: "FAILED with error \(task.outcome)"
  }
}

private func progressText(_ lane: LanePicture) -> String {
  switch lane.progress {
  case nil: lane.isIllegal ? "a word that no scheduler stores" : "idle"
  case .notTaken: "not taken"
  case .acknowledged: "ACK: the kernel runs"
  case .finished: "FIN"
  case .exited: "the core has left"
  case .garbage: "COND is garbage"
  }
}

private func parkedText(_ parked: CorePicture.Parked) -> String {
  switch parked {
  case .awake: "no: it is awake"
  case .lane(let lane): "on DATA_MAIN_BASE of lane \(lane)"
  case .gate(let core, let lane): "at a gate: on COND of core \(CoreID(core)), lane \(lane)"
  case .unknown(let word): "on \(hex(word)), which nobody stores"
  }
}

/// Such as `512`, `1.5K`, `256M`.
package func bytes(_ count: UInt64) -> String {
  for (unit, shift) in [("G", 30), ("M", 20), ("K", 10)] as [(String, UInt64)]
  where count >= 1 << shift {
    let whole = count & ((1 << shift) - 1) == 0
    return whole ? "\(count >> shift)\(unit)" : fixed(Double(count) / Double(1 << shift), 1) + unit
  }
  return "\(count)"
}

func pad(_ text: String, _ width: Int) -> String {
  text + String(repeating: " ", count: max(0, width - text.count))
}

extension Picture {
  /// Tasks that are not RELEASED and have this one among their producers.
  package func consumers(of id: TaskID) -> [TaskPicture] {
    rings.flatMap(\.tasks).filter { task in
      task.fanin.producers.contains { $0.producer == id }
    }
  }

  /// What the roles have published, in words.
  package var errors: [String] {
    [orchestrator.error, scheduler.error].compactMap { $0 }.map {
      "\($0.number) \($0.name): \($0.message)"
    }
  }
}
