internal import CPTO2
internal import PTO2Orchestrator
internal import PTO2Protocol
internal import PTO2Segment

/// The functions of pto2_program.h, for every program of this process and as long as it
/// lives.
nonisolated(unsafe) let programAPI: UnsafePointer<pto2_program_api> = {
  let table = UnsafeMutablePointer<pto2_program_api>.allocate(capacity: 1)
  unsafe table.initialize(to: makeProgramAPI())
  return unsafe UnsafePointer(table)
}()

private func makeProgramAPI() -> pto2_program_api {
  var api = pto2_program_api()
  api.major = UInt32(PTO2_PROGRAM_MAJOR)
  api.bytes = UInt32(MemoryLayout<pto2_program_api>.size)
  api.setKernels()
  api.setTensors()
  api.setSlices()
  api.setViews()
  api.setData()
  api.setScopes()
  api.setTasks()
  api.setErrors()
  api.setRecordings()
  return api
}

extension pto2_program_api {
  /// Kernels and machine.
  fileprivate mutating func setKernels() {
    unsafe kernel = { handle, text, out in
      let graph = unsafe CGraph.of(handle)
      return graph.call { () throws(PTO2Error) in
        let kernel = unsafe try graph.kernels.handle(name(text), in: graph.graph)
        unsafe out?.pointee = kernel
      }
    }
    unsafe machine = { handle, out in
      let graph = unsafe CGraph.of(handle)
      return graph.call { () throws(PTO2Error) in
        unsafe try CRecord.store(
          pto2_machine(graph.graph), to: out, least: CRecord.machineBytes, "pto2_machine")
      }
    }
  }

  /// Scopes.
  fileprivate mutating func setScopes() {
    unsafe scope_begin = { handle in
      let graph = unsafe CGraph.of(handle)
      return graph.call { () throws(PTO2Error) in try graph.graph.beginScope() }
    }
    unsafe scope_begin_manual = { handle in
      let graph = unsafe CGraph.of(handle)
      return graph.call { () throws(PTO2Error) in try graph.graph.beginScope(.manual) }
    }
    unsafe scope_begin_named = { handle, text, isManual in
      let graph = unsafe CGraph.of(handle)
      let name = unsafe text.map { unsafe String(cString: $0) } ?? ""
      return graph.call { () throws(PTO2Error) in
        try graph.graph.beginScope(name, isManual == 0 ? .automatic : .manual)
      }
    }
    unsafe scope_begin_on = { handle, rank, text, isManual in
      let graph = unsafe CGraph.of(handle)
      let name = unsafe text.map { unsafe String(cString: $0) } ?? ""
      return graph.call { () throws(PTO2Error) in
        try graph.graph.beginScope(
          name, isManual == 0 ? .automatic : .manual, on: Int(rank))
      }
    }
    unsafe scope_end = { handle in
      let graph = unsafe CGraph.of(handle)
      return graph.call { () throws(PTO2Error) in try graph.graph.endScope() }
    }
  }

  /// Submitting, and waiting.
  fileprivate mutating func setTasks() {
    unsafe submit = { handle, submission, task in
      let graph = unsafe CGraph.of(handle)
      return graph.call { () throws(PTO2Error) in
        let id = unsafe try graph.submit(UnsafeRawPointer(submission))
        unsafe task?.pointee.id = id.rawValue
      }
    }
    unsafe submit_many = { handle, submissions, count, tasks, submitted in
      let graph = unsafe CGraph.of(handle)
      unsafe submitted?.pointee = 0
      return graph.call { () throws(PTO2Error) in
        let list = unsafe try CRecords(submissions, count: count, "pto2_submission")
        for index in 0..<list.count {
          let id = unsafe try graph.submit(list.at(index))
          unsafe tasks?[index].id = id.rawValue
          unsafe submitted?.pointee = UInt32(index + 1)
        }
      }
    }
    unsafe wait = { handle in
      let graph = unsafe CGraph.of(handle)
      return graph.call { () throws(PTO2Error) in try graph.graph.wait() }
    }
  }

  /// Errors.
  fileprivate mutating func setErrors() {
    unsafe fail = { handle, message in
      let graph = unsafe CGraph.of(handle)
      let text = unsafe message.map { unsafe String(cString: $0) } ?? "the program failed"
      return graph.call { () throws(PTO2Error) in try graph.graph.fail(text) }
    }
    unsafe fail_with = { handle, code, message in
      let graph = unsafe CGraph.of(handle)
      let text = unsafe message.map { unsafe String(cString: $0) } ?? "the program failed"
      return graph.call { () throws(PTO2Error) in try graph.graph.fail(text, code: code) }
    }
    unsafe log = { handle, level, message in
      guard let message = unsafe message else { return }
      let level = LogLevel(rawValue: Int(level.rawValue)) ?? .debug
      unsafe CGraph.of(handle).graph.log(level, String(cString: message))
    }
    unsafe error_message = { handle in unsafe CGraph.of(handle).message }
    unsafe error_info = { handle, out in
      let graph = unsafe CGraph.of(handle)
      do throws(PTO2Error) {
        unsafe try CRecord.store(
          pto2_error_info(graph.lastError), to: out, least: CRecord.errorInfoBytes,
          "pto2_error_info")
        return PTO2_ERROR_NONE
      } catch { return pto2_error(error.number) }
    }
  }

  /// Record and replay.
  fileprivate mutating func setRecordings() {
    unsafe record_begin = { handle, holes in
      let graph = unsafe CGraph.of(handle)
      return graph.call { () throws(PTO2Error) in unsafe try graph.beginRecording(holes) }
    }
    unsafe record_end = { handle, outputs, count, out in
      let graph = unsafe CGraph.of(handle)
      return graph.call { () throws(PTO2Error) in
        let template = unsafe try graph.endRecording(outputs, count)
        unsafe out?.pointee = template
      }
    }
    unsafe replay = { handle, template, holes, outputs, tasks in
      let graph = unsafe CGraph.of(handle)
      return graph.call { () throws(PTO2Error) in
        unsafe try graph.replay(template, holes, outputs, tasks)
      }
    }
    unsafe template_free = { handle, template in
      let graph = unsafe CGraph.of(handle)
      return graph.call { () throws(PTO2Error) in try graph.kernels.free(template) }
    }
  }
}

private func name(_ text: UnsafePointer<CChar>?) throws(PTO2Error) -> UnsafePointer<CChar> {
  guard let text = unsafe text else { throw PTO2Error(.invalidArgs, "a kernel's name is NULL") }
  return unsafe text
}

extension pto2_machine {
  init(_ graph: Graph) {
    let configuration = unsafe graph.orchestrator.pointee.segment.configuration
    self.init()
    clusters = UInt32(configuration.clusters)
    cores = UInt32(configuration.coreCount)
    lanes = UInt32(configuration.lanes)
    rings = UInt32(configuration.rings.count)
    scheduler_threads = UInt32(configuration.schedulerThreads)
    rank = configuration.rank
    ranks = configuration.ranks
  }
}
