internal import PTO2Protocol
internal import PTO2Segment
package import PTO2System

extension Inspection {
  /// All of it.
  package var json: JSONObject {
    var object = JSONObject()
    object.add("place", picture.place)
    object.add("total_bytes", picture.session.totalBytes)
    object.add("allocated_bytes", picture.session.allocatedBytes)
    object.add("attached", picture.session.isAttached)
    object.add("orchestrator_control", "\(picture.orchestrator.control)")
    object.add("scheduler_control", "\(picture.scheduler.control)")
    if let blockage = Blockage(picture) { object.add("program", blockage.sentence) }
    if let process = picture.orchestrator.process { object.add("orchestrator", json(process)) }
    if let process = picture.scheduler.process { object.add("scheduler", json(process)) }
    object.add("log_used", picture.log.used)
    object.add("log_capacity", picture.log.capacity)
    let counts = picture.scheduler.counts
    object.add("tasks_failed", counts.failed)
    object.add("tasks_cancelled", counts.cancelled)
    object.add("lost_subtasks", counts.lost)
    object.add("quarantined", counts.quarantined)
    picture.trace?.add(to: &object)
    object.add("errors", picture.errors)
    object.add("rings", picture.rings.map(json))
    object.add("cores", picture.cores.map(json))
    object.add("damage", picture.damage)
    return object
  }

  private func json(_ process: ProcessFacts) -> JSONObject {
    var object = JSONObject()
    object.add("pid", process.pid)
    object.add("state", process.activity.rawValue)
    object.add("incarnation", process.incarnation)
    object.add("supervised", process.isSupervised)
    return object
  }

  package func json(_ ring: RingPicture) -> JSONObject {
    var object = JSONObject()
    object.add("ring", ring.index)
    object.add("next", ring.current)
    object.add("wired", ring.wired)
    object.add("released", ring.released)
    object.add("consumed", ring.consumed)
    object.add("damaged", ring.isDamaged)
    object.add("task_window", ring.sizes.taskWindow)
    object.add("consumed_window", ring.sizes.consumedWindow)
    object.add("dep_pool", ring.sizes.dependencyPool)
    object.add("heap_bytes", ring.sizes.heapBytes)
    if let used = ring.heapUsed { object.add("heap_used", used) }
    if let used = ring.poolUsed { object.add("dep_pool_used", used) }
    if let used = ring.payloadUsed { object.add("payload_used", used) }
    object.add("peak_main", ring.peaks.main)
    object.add("peak_consumed", ring.peaks.consumed)
    object.add("peak_dep_pool", ring.peaks.pool)
    object.add("peak_heap_bytes", ring.peaks.heap)
    object.add("tasks", ring.tasks.prefix(32).map(json))
    return object
  }

  package func json(_ task: TaskPicture) -> JSONObject {
    var object = JSONObject()
    object.add("task", "\(task.id)")
    object.add("state", stageText(task))
    object.add("kernels", task.subtasks.map(\.kernel))
    object.add("fanin_done", task.fanin.done)
    object.add("fanin_count", task.fanin.count)
    object.add("producers", task.fanin.producers.map { "\($0.producer)" })
    object.add("consumers", picture.consumers(of: task.id).map { "\($0.id)" })
    object.add("references_taken", task.references.taken)
    object.add("references_left", task.references.left)
    object.add("scope_ended", task.references.hasScopeEnded)
    if let depth = task.scopeDepth { object.add("scope_depth", depth) }
    if let name = task.scopeName { object.add("scope", name) }
    if let name = task.name { object.add("name", name) }
    object.add("blocks", task.blocks.count)
    if let cluster = task.near { object.add("near", cluster) }
    object.add("blocks_started", task.blocks.started)
    object.add("subtasks_left", task.blocks.subtasksLeft)
    object.add("heap_bytes", task.heapBytes)
    object.add("outputs", task.outputs)
    object.add("outcome", task.outcome)
    if let transfer = task.transfer {
      object.add("direction", "\(transfer.direction)")
      object.add("peer", transfer.peer)
      object.add("sequence", transfer.sequence)
      object.add("bytes", transfer.bytes)
    }
    return object
  }

  package func json(_ core: CorePicture) -> JSONObject {
    var object = JSONObject()
    object.add("core", "\(core.id)")
    object.add("state", CoreState(core).rawValue)
    if let process = core.process { object.add("process", json(process)) }
    object.add("kernels", core.kernels)
    object.add("parks", core.parks)
    if let cpu = core.cpu { object.add("cpu", cpu) }
    object.add(
      "lanes",
      core.lanes.filter { $0.isOutstanding || $0.isIllegal }.map { lane in
        var object = JSONObject()
        object.add("lane", lane.index)
        object.add("word", WordText(lane.word.rawValue, in: .dataMainBase).json)
        object.add("cond", WordText(lane.condition.rawValue, in: .cond).json)
        object.add("position", lane.position)
        if let task = lane.task { object.add("task", "\(task)") }
        object.add("kernel", lane.kernel)
        return object
      })
    return object
  }
}
