internal import CPTO2
internal import Glibc
internal import PTO2Orchestrator
internal import PTO2Protocol
internal import PTO2Segment

private func shape(_ rank: UInt32, _ extents: UnsafePointer<UInt32>?) throws(PTO2Error) -> Shape {
  guard rank <= UInt32(PTO2_MAX_RANK) else {
    throw PTO2Error(.invalidArgs, "rank \(rank): expected 0 to \(PTO2_MAX_RANK)")
  }
  guard rank > 0 else { return Shape() }
  guard let extents = unsafe extents else { throw PTO2Error(.invalidArgs, "a shape is NULL") }
  return Shape((0..<Int(rank)).map { unsafe Int(extents[$0]) })
}

/// One number per dimension.
private func numbers(_ rank: Int, _ list: UnsafePointer<UInt32>?, _ what: String) throws(PTO2Error)
  -> [Int]
{
  guard rank > 0 else { return [] }
  guard let list = unsafe list else {
    throw PTO2Error(.invalidArgs, "\(what) of rank \(rank): the list is NULL")
  }
  return (0..<rank).map { unsafe Int(list[$0]) }
}

private func name(_ text: UnsafePointer<CChar>?) throws(PTO2Error) -> UnsafePointer<CChar> {
  guard let text = unsafe text else { throw PTO2Error(.invalidArgs, "a kernel's name is NULL") }
  return unsafe text
}

func dataType(_ raw: pto2_dtype) throws(PTO2Error) -> DataType {
  guard raw.rawValue < UInt32(PTO2_DTYPE_COUNT), let type = DataType(rawValue: UInt8(raw.rawValue))
  else {
    throw PTO2Error(
      .invalidArgs, "data type \(raw.rawValue): expected 0 to \(PTO2_DTYPE_COUNT - 1)")
  }
  return type
}

/// Calls the closure with an element's place and size once its tasks are done.
private func accessElement(
  _ graph: CGraph, _ handle: UnsafePointer<pto2_tensor_handle>?, _ index: UnsafePointer<UInt32>?,
  _ nanoseconds: UInt64, _ element: UnsafeRawPointer?, includingReaders: Bool = false,
  _ body: (UnsafeMutableRawPointer, Int) -> Void
) -> pto2_error {
  graph.call { () throws(PTO2Error) in
    let tensor = unsafe try TensorHandle.decode(handle)
    guard unsafe element != nil else { throw PTO2Error(.invalidArgs, "the element is NULL") }
    let address = unsafe try graph.graph.place(
      of: tensor, at: numbers(tensor.shape.rank, index, "the index"),
      includingReaders: includingReaders,
      timeout: .nanoseconds(Int64(clamping: nanoseconds)))
    unsafe body(address, tensor.dataType.byteCount)
  }
}

/// The functions of pto2_program.h, for every program of this process and as long as it
/// lives.
nonisolated(unsafe) let programAPI: UnsafePointer<pto2_program_api> = {
  let table = UnsafeMutablePointer<pto2_program_api>.allocate(capacity: 1)
  unsafe table.initialize(to: makeProgramAPI())
  return unsafe UnsafePointer(table)
}()

private func makeProgramAPI() -> pto2_program_api {
  unsafe pto2_program_api(
    major: UInt32(PTO2_PROGRAM_MAJOR), bytes: UInt32(MemoryLayout<pto2_program_api>.size),
    kernel: { handle, text, out in
      let graph = unsafe CGraph.of(handle)
      return graph.call { () throws(PTO2Error) in
        let kernel = unsafe try graph.kernels.handle(name(text), in: graph.graph)
        unsafe out?.pointee = kernel
      }
    },
    machine: { handle, out in
      let graph = unsafe CGraph.of(handle)
      return graph.call { () throws(PTO2Error) in
        unsafe try CRecord.store(
          pto2_machine(graph.graph), to: out, least: CRecord.machineBytes, "pto2_machine")
      }
    },
    external_tensor: { handle, type, rank, extents, out in
      let graph = unsafe CGraph.of(handle)
      return graph.call { () throws(PTO2Error) in
        let tensor = unsafe try graph.graph.externalTensor(of: dataType(type), shape(rank, extents))
        unsafe out?.pointee = TensorHandle.encode(tensor)
      }
    },
    allocate: { handle, type, rank, extents, out in
      let graph = unsafe CGraph.of(handle)
      return graph.call { () throws(PTO2Error) in
        let tensor = unsafe try graph.graph.uninitializedTensor(
          of: dataType(type), shape(rank, extents))
        unsafe out?.pointee = TensorHandle.encode(tensor)
      }
    },
    fill: { handle, type, rank, extents, element, out in
      let graph = unsafe CGraph.of(handle)
      return graph.call { () throws(PTO2Error) in
        guard let element = unsafe element else {
          throw PTO2Error(.invalidArgs, "fill: the element is NULL")
        }
        let type = try dataType(type)
        var bits: UInt64 = 0
        unsafe memcpy(&bits, element, type.byteCount)
        let tensor = unsafe try graph.graph.filled(
          of: type, shape(rank, extents), withBits: bits)
        unsafe out?.pointee = TensorHandle.encode(tensor)
      }
    },
    slice: { handle, base, offsets, extents, out in
      unsafe CGraph.of(handle).call { () throws(PTO2Error) in
        let tensor = unsafe try TensorHandle.decode(base)
        let rank = tensor.shape.rank
        let view = unsafe try tensor.slice(
          from: numbers(rank, offsets, "offsets"), shape: shape(UInt32(rank), extents))
        unsafe out?.pointee = TensorHandle.encode(view)
      }
    },
    slice_steps: { handle, base, offsets, extents, steps, out in
      unsafe CGraph.of(handle).call { () throws(PTO2Error) in
        let tensor = unsafe try TensorHandle.decode(base)
        let rank = tensor.shape.rank
        let view = unsafe try tensor.slice(
          from: numbers(rank, offsets, "offsets"), shape: shape(UInt32(rank), extents),
          steps: numbers(rank, steps, "steps"))
        unsafe out?.pointee = TensorHandle.encode(view)
      }
    },
    reshape: { handle, base, rank, extents, out in
      unsafe CGraph.of(handle).call { () throws(PTO2Error) in
        let view = unsafe try TensorHandle.decode(base).reshaped(to: shape(rank, extents))
        unsafe out?.pointee = TensorHandle.encode(view)
      }
    },
    transpose: { handle, base, first, second, out in
      unsafe CGraph.of(handle).call { () throws(PTO2Error) in
        let view = unsafe try TensorHandle.decode(base).transposed(Int(first), Int(second))
        unsafe out?.pointee = TensorHandle.encode(view)
      }
    },
    broadcast: { handle, base, rank, extents, out in
      unsafe CGraph.of(handle).call { () throws(PTO2Error) in
        let view = unsafe try TensorHandle.decode(base).broadcast(to: shape(rank, extents))
        unsafe out?.pointee = TensorHandle.encode(view)
      }
    },
    data: { handle, tensor in
      let graph = unsafe CGraph.of(handle)
      var address: UnsafeMutableRawPointer?
      _ = graph.call { () throws(PTO2Error) in
        unsafe address = graph.graph.orchestrator.pointee.address(
          of: try TensorHandle.decode(tensor))
      }
      return unsafe address
    },
    get: { handle, tensor, index, limit, element in
      unsafe accessElement(CGraph.of(handle), tensor, index, limit, element) { address, bytes in
        unsafe memcpy(element!, address, bytes)
      }
    },
    set: { handle, tensor, index, limit, element in
      unsafe accessElement(
        CGraph.of(handle), tensor, index, limit, element, includingReaders: true
      ) { address, bytes in unsafe memcpy(address, element!, bytes) }
    },
    scope_begin: { handle in
      let graph = unsafe CGraph.of(handle)
      return graph.call { () throws(PTO2Error) in try graph.graph.beginScope() }
    },
    scope_begin_manual: { handle in
      let graph = unsafe CGraph.of(handle)
      return graph.call { () throws(PTO2Error) in try graph.graph.beginScope(.manual) }
    },
    scope_end: { handle in
      let graph = unsafe CGraph.of(handle)
      return graph.call { () throws(PTO2Error) in try graph.graph.endScope() }
    },
    submit: { handle, submission, task in
      let graph = unsafe CGraph.of(handle)
      return graph.call { () throws(PTO2Error) in
        let id = unsafe try graph.submit(UnsafeRawPointer(submission))
        unsafe task?.pointee.id = id.rawValue
      }
    },
    submit_many: { handle, submissions, count, tasks, submitted in
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
    },
    wait: { handle in
      let graph = unsafe CGraph.of(handle)
      return graph.call { () throws(PTO2Error) in try graph.graph.wait() }
    },
    fail: { handle, message in
      let graph = unsafe CGraph.of(handle)
      let text = unsafe message.map { unsafe String(cString: $0) } ?? "the program failed"
      return graph.call { () throws(PTO2Error) in try graph.graph.fail(text) }
    },
    error_message: { handle in unsafe UnsafePointer(CGraph.of(handle).message) },
    error_info: { handle, out in
      let graph = unsafe CGraph.of(handle)
      do throws(PTO2Error) {
        unsafe try CRecord.store(
          pto2_error_info(graph.error), to: out, least: CRecord.errorInfoBytes, "pto2_error_info")
        return PTO2_ERROR_NONE
      } catch { return pto2_error(error.code.rawValue) }
    },
    record_begin: { handle, holes in
      let graph = unsafe CGraph.of(handle)
      return graph.call { () throws(PTO2Error) in unsafe try graph.beginRecording(holes) }
    },
    record_end: { handle, outputs, count, out in
      let graph = unsafe CGraph.of(handle)
      return graph.call { () throws(PTO2Error) in
        let template = unsafe try graph.endRecording(outputs, count)
        unsafe out?.pointee = template
      }
    },
    replay: { handle, template, holes, outputs, tasks in
      let graph = unsafe CGraph.of(handle)
      return graph.call { () throws(PTO2Error) in
        unsafe try graph.replay(template, holes, outputs, tasks)
      }
    },
    template_free: { handle, template in
      let graph = unsafe CGraph.of(handle)
      return graph.call { () throws(PTO2Error) in try graph.kernels.free(template) }
    },
    free_tensor: { handle, tensor in
      let graph = unsafe CGraph.of(handle)
      return graph.call { () throws(PTO2Error) in
        unsafe try graph.graph.free(TensorHandle.decode(tensor))
      }
    })
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
  }
}
