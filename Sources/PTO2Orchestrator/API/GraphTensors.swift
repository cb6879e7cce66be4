public import PTO2Protocol

/// Where a program gets tensors from, and gives them back, beside the outputs of its tasks.
extension Graph {
  /// A tensor in memory that the program owns: zero-filled, readable and
  /// writable by program and kernels, alive until `free` or the end of the run.
  /// - Throws: `invalidArgs` for a shape that is not valid, `outOfMemory` when the arena
  ///   or /dev/shm is full.
  ///
  /// - Parameter rank: of a program that runs on several ranks: tasks that write it run there
  ///   unless they say something else. Nil: rank 0. Every rank has the same contents at first.
  public func externalTensor<Element>(
    of type: Element.Type, _ shape: Shape, on rank: Int? = nil
  ) throws(PTO2Error) -> Tensor<Element> {
    Tensor(unchecked: try externalTensor(of: Element.dataType, shape, on: rank))
  }

  /// The same of a data type that is known at run time.
  public func externalTensor(of type: DataType, _ shape: Shape, on rank: Int? = nil)
    throws(PTO2Error) -> AnyTensor
  {
    unsafe try orchestrator.pointee.external(shape, type, on: rank)
  }

  /// Gives an external tensor or a kept output back before the run ends: the whole tensor,
  /// also by one of its views. Waits for nothing. Using it later is `invalidArgs`; tasks that were
  /// submitted before use it to their end. Once all of these are done its memory goes to
  /// new external tensors; a call that finds no other room waits for that.
  /// - Throws: `invalidArgs` for another output, and for what was freed before.
  public func free<Element>(_ tensor: Tensor<Element>) throws(PTO2Error) {
    try free(tensor.untyped)
  }
  public func free(_ tensor: AnyTensor) throws(PTO2Error) {
    unsafe try orchestrator.pointee.refuseInRecording("a tensor that is freed")
    unsafe try orchestrator.pointee.free(tensor)
  }

  /// Memory from the heap ring without a kernel: an output of a task that is
  /// done at once. Not cleared; alive until the current scope ends.
  /// - Throws: `invalidArgs` for a shape that is not valid; otherwise as `submit`.
  public func uninitializedTensor<Element>(of type: Element.Type, _ shape: Shape) throws(PTO2Error)
    -> Tensor<Element>
  {
    Tensor(unchecked: try uninitializedTensor(of: Element.dataType, shape))
  }

  /// The same of a data type that is known at run time.
  public func uninitializedTensor(of type: DataType, _ shape: Shape) throws(PTO2Error)
    -> AnyTensor
  {
    try submit { $0.output(of: type, shape) }
  }

  /// A tensor of any shape in which every element is `value`: a broadcast view
  /// (stride 0 in every dimension) of one element in the heap ring. Costs a
  /// task without kernels, whatever the shape. For reading only; alive until
  /// the current scope ends.
  /// - Throws: `invalidArgs` for a shape that is not valid; otherwise as `submit`.
  public func filled<Element>(_ shape: Shape, with value: Element) throws(PTO2Error)
    -> Tensor<Element>
  {
    var bits: UInt64 = 0
    unsafe withUnsafeMutableBytes(of: &bits) { unsafe $0.storeBytes(of: value, as: Element.self) }
    return Tensor(unchecked: try filled(of: Element.dataType, shape, withBits: bits))
  }

  /// The same of a data type that is known at run time.
  /// - Throws: `invalidArgs` also for a value that an integer type does not have.
  public func filled(of type: DataType, _ shape: Shape, with value: Int) throws(PTO2Error)
    -> AnyTensor
  {
    guard let bits = type.bits(of: value) else { throw noSuchValue("\(value)", type) }
    return try filled(of: type, shape, withBits: bits)
  }

  /// The same with a real number: rounded to nearest for a real type; for an
  /// integer type it must be a whole number that the type has.
  public func filled(of type: DataType, _ shape: Shape, with value: Double) throws(PTO2Error)
    -> AnyTensor
  {
    guard let bits = type.bits(of: value) else { throw noSuchValue("\(value)", type) }
    return try filled(of: type, shape, withBits: bits)
  }

  /// The element's bytes are the first ones of `bits`.
  package func filled(of type: DataType, _ shape: Shape, withBits bits: UInt64) throws(PTO2Error)
    -> AnyTensor
  {
    unsafe try orchestrator.pointee.refuseInRecording("a filled tensor")
    let element = try submit { task in
      // Before any memory is taken: an error inside a submit says which argument.
      if !shape.isValid || shape.elementCount == nil {
        unsafe orchestrator.pointee.stageFailure(
          PTO2Error(
            .invalidArgs,
            "fill: shape \(shape) is not valid: expected 0 to 5 extents, none negative, and fewer than 2^32 elements"
          ))
      }
      return task.output(of: type, Shape())
    }
    guard let address = unsafe orchestrator.pointee.address(of: element) else {
      preconditionFailure("a task that was submitted has no output")
    }
    // Nobody knows the tensor yet. The log record of the first task that reads
    // it publishes this store too.
    unsafe withUnsafeBytes(of: bits) { bits in
      unsafe address.copyMemory(from: bits.baseAddress!, byteCount: type.byteCount)
    }
    return try element.broadcast(to: shape)
  }

  private func noSuchValue(_ value: String, _ type: DataType) -> PTO2Error {
    unsafe orchestrator.pointee.fault.raise(
      PTO2Error(.invalidArgs, "fill: \(value) is not a value of \(type)"))
  }
}
