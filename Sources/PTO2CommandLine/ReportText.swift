internal import PTO2
internal import PTO2Protocol
internal import PTO2System

extension RunReport {
  /// For people.
  func text(_ program: String, faults: [FaultOutcome] = []) -> String {
    var text = "\(program): done in \(fixed(seconds, 3)) s\n"
    func line(_ label: String, _ value: String) {
      text += "  " + label + String(repeating: " ", count: max(1, 24 - label.count)) + value + "\n"
    }
    line("tasks", "\(tasks), \(edges) edges, \(fixed(tasksPerSecond, 0)) tasks/s")
    line(
      "time in kernels",
      "\(fixed(kernelSeconds, 3)) s\(isKernelTimeSampled ? " (sampled)" : "") of \(fixed(graphSeconds, 3)) s graph time, \(fixed(graphSeconds > 0 ? kernelSeconds / graphSeconds : 0, 2)) cores busy on average"
    )
    for (index, ring) in rings.enumerated() where ring.submitted > 0 {
      line(
        "ring \(index) peak use",
        "main \(ring.peakTasks)/\(ring.configuration.taskWindow), consumed \(ring.peakUnconsumedTasks)/\(ring.configuration.consumedWindow), heap \(formatBytes(ring.peakHeapBytes))/\(formatBytes(ring.configuration.heapBytes)), dep pool \(ring.peakDependencies)/\(ring.configuration.dependencyPool)"
      )
      line(
        "ring \(index) watermarks",
        "submitted \(ring.submitted), released \(ring.released), consumed \(ring.consumed)")
    }
    for stall in stalls where stall.count > 0 {
      line(
        "waited for \(stall.resource)",
        "\(stall.count) times, \(fixed(stall.seconds, 3)) s")
    }
    if schedulerRestarts > 0 { line("schedulers restarted", "\(schedulerRestarts)") }
    if workerRestarts > 0 {
      line(
        "workers restarted", "\(workerRestarts); \(lostKernelRuns) kernel runs lost and made good")
    }
    for (number, rank) in ranks.enumerated() {
      line(
        "rank \(number)",
        "\(rank.tasks) tasks, \(rank.transfers) messages of \(formatBytes(rank.sentBytes)) sent, \(formatBytes(rank.receivedBytes)) received"
      )
    }
    for fault in faults { line("fault \(fault.index)", fault.text) }
    line("shared memory", formatBytes(sharedMemoryBytes))
    if let trace { line("trace", trace.text) }
    for added in lines { line(added.label, added.value) }
    return text
  }

  /// One JSON object on one line; docs/operations.md lists its fields.
  func json(_ program: String, faults: [FaultOutcome] = []) -> String {
    var json = JSONObject()
    json.add("program", program)
    json.add("session", session)
    json.add("result", "success")
    json.add("seconds", seconds)
    json.add("graph_seconds", graphSeconds)
    json.add("tasks", tasks)
    json.add("edges", edges)
    json.add("tasks_per_second", tasksPerSecond)
    json.add("kernels", kernels)
    json.add("kernel_seconds", kernelSeconds)
    json.add("kernel_seconds_sampled", isKernelTimeSampled)
    json.add("cores", cores.count)
    json.add("shared_memory_bytes", sharedMemoryBytes)
    json.add("scheduler_threads", schedulerThreads)
    json.add("lost_locks", lostLocks)
    json.add("worker_restarts", workerRestarts)
    json.add("scheduler_restarts", schedulerRestarts)
    json.add("lost_subtasks", lostKernelRuns)
    json.add("quarantined_workers", quarantinedWorkers)
    if !ranks.isEmpty {
      json.add(
        "ranks",
        ranks.map { rank in
          var object = JSONObject()
          object.add("tasks", rank.tasks)
          object.add("messages_sent", rank.transfers)
          object.add("bytes_sent", rank.sentBytes)
          object.add("bytes_received", rank.receivedBytes)
          return object
        })
    }
    if let trace { json.add("trace", trace.json) }
    if !faults.isEmpty { json.add("faults", faults.map(\.json)) }
    json.add(
      "rings",
      rings.map { ring in
        var object = JSONObject()
        object.add("submitted", ring.submitted)
        object.add("released", ring.released)
        object.add("consumed", ring.consumed)
        object.add("task_window", ring.configuration.taskWindow)
        object.add("consumed_window", ring.configuration.consumedWindow)
        object.add("heap_bytes", ring.configuration.heapBytes)
        object.add("dep_pool", ring.configuration.dependencyPool)
        object.add("peak_main", ring.peakTasks)
        object.add("peak_consumed", ring.peakUnconsumedTasks)
        object.add("peak_heap_bytes", ring.peakHeapBytes)
        object.add("peak_dep_pool", ring.peakDependencies)
        return object
      })
    json.add(
      "waits",
      stalls.map { stall in
        var object = JSONObject()
        object.add("for", stall.resource)
        object.add("count", stall.count)
        object.add("seconds", stall.seconds)
        return object
      })
    json.add(
      "report",
      lines.map { line in
        var object = JSONObject()
        object.add("label", line.label)
        object.add("value", line.value)
        return object
      })
    return json.text + "\n"
  }
}

extension RunReport.TraceFile {
  fileprivate var text: String {
    if let error { return "\(path) is not written: \(error)" }
    return "\(path), \(formatBytes(bytes)), \(records) records"
      + (dropped > 0 ? "; \(dropped) DROPPED: a larger --trace-buffer takes more" : "")
  }

  fileprivate var json: JSONObject {
    var object = JSONObject()
    object.add("file", path)
    object.add("bytes", bytes)
    object.add("records", records)
    object.add("dropped", dropped)
    if let error { object.add("error", error) }
    return object
  }
}

/// A failed run, as JSON.
func failureJSON(
  program: String, error: PTO2Error, exitStatus: Int32, faults: [FaultOutcome] = []
) -> String {
  var json = JSONObject()
  json.add("program", program)
  json.add("result", "error")
  json.add("code", UInt64(error.number))
  json.add("name", error.name)
  json.add("message", error.message)
  if let task = error.task { json.add("task", "\(task)") }
  if let ring = error.ring { json.add("ring", UInt64(ring)) }
  if error.needed > 0 {
    json.add("needed", error.needed)
    json.add("available", error.available)
  }
  if !faults.isEmpty { json.add("faults", faults.map(\.json)) }
  json.add("exit_status", UInt64(exitStatus))
  return json.text + "\n"
}

/// `256 MiB`, `4 GiB`, `1.5 MiB`, `1000 B`.
func formatBytes(_ bytes: Int) -> String {
  for (shift, unit) in [(30, "GiB"), (20, "MiB"), (10, "KiB")] where bytes >= 1 << shift {
    let tenths = (bytes * 10) >> shift
    return tenths % 10 == 0 || tenths >= 1000
      ? "\(tenths / 10) \(unit)" : "\(tenths / 10).\(tenths % 10) \(unit)"
  }
  return "\(bytes) B"
}
