internal import CPTO2
internal import Glibc
internal import PTO2Orchestrator
internal import PTO2Protocol

/// Calls of pto2_program.h about tensors.
extension pto2_program_api {
  /// Where tensors come from, and go.
  mutating func setTensors() {
    unsafe external_tensor = { handle, type, rank, extents, out in
      let graph = unsafe CGraph.of(handle)
      return graph.call { () throws(PTO2Error) in
        let tensor = unsafe try graph.graph.externalTensor(of: dataType(type), shape(rank, extents))
        unsafe out?.pointee = TensorHandle.encode(tensor)
      }
    }
    unsafe external_tensor_on = { handle, type, rank, extents, place, out in
      let graph = unsafe CGraph.of(handle)
      return graph.call { () throws(PTO2Error) in
        let tensor = unsafe try graph.graph.externalTensor(
          of: dataType(type), shape(rank, extents), on: Int(place))
        unsafe out?.pointee = TensorHandle.encode(tensor)
      }
    }
    unsafe allocate = { handle, type, rank, extents, out in
      let graph = unsafe CGraph.of(handle)
      return graph.call { () throws(PTO2Error) in
        let tensor = unsafe try graph.graph.uninitializedTensor(
          of: dataType(type), shape(rank, extents))
        unsafe out?.pointee = TensorHandle.encode(tensor)
      }
    }
    unsafe fill = { handle, type, rank, extents, element, out in
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
    }
    unsafe free_tensor = { handle, tensor in
      let graph = unsafe CGraph.of(handle)
      return graph.call { () throws(PTO2Error) in
        unsafe try graph.graph.free(TensorHandle.decode(tensor))
      }
    }
  }

  /// Views of a part.
  mutating func setSlices() {
    unsafe slice = { handle, base, offsets, extents, out in
      unsafe CGraph.of(handle).view(out) { () throws(PTO2Error) in
        let tensor = unsafe try TensorHandle.decode(base)
        let rank = tensor.shape.rank
        return unsafe try tensor.slice(
          from: numbers(rank, offsets, "offsets"), shape: shape(UInt32(rank), extents))
      }
    }
    unsafe slice_steps = { handle, base, offsets, extents, steps, out in
      unsafe CGraph.of(handle).view(out) { () throws(PTO2Error) in
        let tensor = unsafe try TensorHandle.decode(base)
        let rank = tensor.shape.rank
        return unsafe try tensor.slice(
          from: numbers(rank, offsets, "offsets"), shape: shape(UInt32(rank), extents),
          steps: numbers(rank, steps, "steps"))
      }
    }
  }

  /// Views of the whole.
  mutating func setViews() {
    unsafe reshape = { handle, base, rank, extents, out in
      unsafe CGraph.of(handle).view(out) { () throws(PTO2Error) in
        unsafe try TensorHandle.decode(base).reshaped(to: shape(rank, extents))
      }
    }
    unsafe transpose = { handle, base, first, second, out in
      unsafe CGraph.of(handle).view(out) { () throws(PTO2Error) in
        unsafe try TensorHandle.decode(base).transposed(Int(first), Int(second))
      }
    }
    unsafe broadcast = { handle, base, rank, extents, out in
      unsafe CGraph.of(handle).view(out) { () throws(PTO2Error) in
        unsafe try TensorHandle.decode(base).broadcast(to: shape(rank, extents))
      }
    }
    unsafe bit_cast = { handle, base, type, out in
      unsafe CGraph.of(handle).view(out) { () throws(PTO2Error) in
        unsafe try TensorHandle.decode(base).bitCast(to: dataType(type))
      }
    }
  }

  /// What the program itself reads and writes.
  mutating func setData() {
    unsafe data = { handle, tensor in
      let graph = unsafe CGraph.of(handle)
      var address: UnsafeMutableRawPointer?
      _ = graph.call { () throws(PTO2Error) in
        unsafe address = try graph.graph.exposedAddress(of: try TensorHandle.decode(tensor))
      }
      return unsafe address
    }
    unsafe get = { handle, tensor, index, limit, element in
      unsafe accessElement(CGraph.of(handle), tensor, index, limit, element) { address, bytes in
        unsafe memcpy(element!, address, bytes)
      }
    }
    unsafe set = { handle, tensor, index, limit, element in
      unsafe accessElement(
        CGraph.of(handle), tensor, index, limit, element, includingReaders: true
      ) { address, bytes in unsafe memcpy(address, element!, bytes) }
    }
  }
}

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
