public import PTO2Protocol
internal import PTO2System

/// What the program itself reads and writes.
extension Graph {
  /// Blocks until every task submitted so far is done.
  /// - Throws: what has ended the run: `workerDied` with the root cause when tasks have
  ///   failed.
  public func wait() throws(PTO2Error) {
    unsafe try orchestrator.pointee.refuseInRecording("a wait")
    unsafe try orchestrator.pointee.bringExposed()
    unsafe try orchestrator.pointee.waitForAll()
  }

  /// Waits until every task submitted so far is done, as `wait` does, and lends the
  /// elements of any number of tensors, in memory order.
  ///
  ///     try graph.read(a, b, c) { a, b, c in
  ///       for i in c.indices where c[i] != a[i] + b[i] { ... }
  ///     }
  /// - Throws: `invalidArgs` when a tensor has gaps or its scope has ended; what the
  ///   closure throws, as `explicitOrchFatal` with it as `underlying` unless it is a
  ///   `PTO2Error`; otherwise as `wait`.
  public func read<each Element: TensorElement, Result>(
    _ tensor: repeat Tensor<each Element>,
    body: (repeat Elements<each Element>) throws -> Result
  ) throws(PTO2Error) -> Result {
    repeat try bringEverywhere((each tensor).untyped)
    try waitForAll()
    let views = (repeat try elements(of: each tensor))
    do { return try body(repeat each views) } catch { throw PTO2Error(ofProgram: error) }
  }

  /// The same for writing. Tasks submitted later see what was written.
  public func write<each Element: TensorElement, Result>(
    _ tensor: repeat Tensor<each Element>,
    body: (repeat MutableElements<each Element>) throws -> Result
  ) throws(PTO2Error) -> Result {
    repeat try bringEverywhere((each tensor).untyped, forWriting: true)
    try waitForAll()
    let views = (repeat try mutableElements(of: each tensor))
    defer { repeat noteWrite((each tensor).untyped) }
    do { return try body(repeat each views) } catch { throw PTO2Error(ofProgram: error) }
  }

  /// A copy of a tensor's elements, in memory order, after waiting as `wait` does.
  /// - Throws: as `read`.
  public func array<Element>(_ tensor: Tensor<Element>) throws(PTO2Error) -> [Element] {
    try read(tensor) { Array($0) }
  }

  private func waitForAll() throws(PTO2Error) {
    guard unsafe orchestrator.pointee.hasUnfinished else { return }
    unsafe try orchestrator.pointee.refuseInRecording("a wait")
    unsafe try orchestrator.pointee.waitForAll()
  }

  /// For callers that keep the address: the first element's, or nil when the tensor has no
  /// memory. On several ranks each has the whole tensor now and after each wait.
  package func exposedAddress(of tensor: AnyTensor) throws(PTO2Error) -> UnsafeMutableRawPointer? {
    if unsafe orchestrator.pointee.isRanked {
      unsafe try orchestrator.pointee.expose(tensor)
      try waitForAll()
    }
    return unsafe orchestrator.pointee.address(of: tensor)
  }

  private func bringEverywhere(_ tensor: AnyTensor, forWriting: Bool = false) throws(PTO2Error) {
    unsafe try orchestrator.pointee.bringEverywhere(tensor, forWriting: forWriting)
  }
  private func noteWrite(_ tensor: AnyTensor) {
    unsafe orchestrator.pointee.noteProgramWrite(tensor)
  }

  private func elements<Element>(of tensor: Tensor<Element>) throws(PTO2Error)
    -> Elements<Element>
  {
    unsafe Elements(
      start: UnsafePointer(try memory(of: tensor)), count: tensor.count, graph: self)
  }

  private func mutableElements<Element>(of tensor: Tensor<Element>) throws(PTO2Error)
    -> MutableElements<Element>
  {
    unsafe MutableElements(start: try memory(of: tensor), count: tensor.count, graph: self)
  }

  private func memory<Element>(of tensor: Tensor<Element>) throws(PTO2Error)
    -> UnsafeMutablePointer<Element>
  {
    let fault = unsafe orchestrator.pointee.fault
    unsafe try orchestrator.pointee.refuseInRecording("a look at a tensor")
    guard unsafe orchestrator.pointee.isInScope(tensor.untyped),
      let address = unsafe orchestrator.pointee.address(of: tensor.untyped)
    else {
      throw fault.raise(
        PTO2Error(.invalidArgs, "tensor \(tensor.shape) has no memory: its scope has ended"))
    }
    guard tensor.isContiguous else {
      throw fault.raise(
        PTO2Error(
          .invalidArgs,
          "tensor \(tensor.shape) of \(Element.dataType) has gaps and cannot be seen as one piece"))
    }
    return unsafe address.assumingMemoryBound(to: Element.self)
  }

  // MARK: Single elements

  /// One element, after waiting for the tasks that write it; not for those of
  /// manual scopes.
  /// - Parameter timeout: how long to wait.
  /// - Throws: `tensorWaitTimeout` when it is not ready in time; `invalidArgs` for an
  ///   index beyond the tensor or an ended scope.
  public func element<Element>(
    of tensor: Tensor<Element>, at index: [Int], timeout: Duration = .seconds(60)
  ) throws(PTO2Error) -> Element {
    let address = unsafe try place(
      of: tensor.untyped, at: index, includingReaders: false, timeout: timeout)
    return unsafe address.load(as: Element.self)
  }

  /// Sets one element, after waiting for the tasks that write or read it; tasks
  /// submitted later see it. Errors as in `element`.
  public func setElement<Element>(
    of tensor: Tensor<Element>, at index: [Int], to value: Element,
    timeout: Duration = .seconds(60)
  ) throws(PTO2Error) {
    let address = unsafe try place(
      of: tensor.untyped, at: index, includingReaders: true, timeout: timeout)
    unsafe address.storeBytes(of: value, as: Element.self)
  }

  /// An element's place, once the tasks that matter to it are done.
  package func place(
    of tensor: AnyTensor, at index: [Int], includingReaders: Bool, timeout: Duration
  ) throws(PTO2Error) -> UnsafeMutableRawPointer {
    unsafe try orchestrator.pointee.refuseInRecording("a look at an element")
    do throws(PTO2Error) {
      let element = try tensor.element(at: index)
      try bringEverywhere(element, forWriting: includingReaders)
      if includingReaders { noteWrite(element) }
      unsafe try orchestrator.pointee.waitForUsers(
        of: element, includingReaders: includingReaders, limitSeconds: timeout.inSeconds)
      guard let address = unsafe orchestrator.pointee.address(of: element) else {
        throw PTO2Error(.invalidArgs, "tensor \(tensor.shape) has no memory")
      }
      return unsafe address
    } catch { throw unsafe orchestrator.pointee.fault.raise(error) }
  }
}
