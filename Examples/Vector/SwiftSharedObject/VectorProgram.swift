// ((a + b) + 1) * ((a + b) + 2) as a Swift program in a shared object:
//
//     pto2-orchestrator --program libVectorSwiftProgram.so -- [elements]
//
// It uses the C ABI alone and links no pto2 library: the orchestrator brings
// that, and both share one Swift runtime.
import CPTO2

private typealias API = UnsafePointer<pto2_program_api>

/// A call of the API failed; the orchestrator knows why.
private struct Failed: Error {}

private func check(_ status: Int32) throws { if status != 0 { throw Failed() } }

/// The graph, with the C calls in the shape this program wants.
private struct Vectors {
  let api: API
  let graph: OpaquePointer
  let count: UInt32

  func external() throws -> pto2_tensor_handle {
    var tensor = pto2_tensor_handle()
    var shape = count
    try check(api.pointee.external_tensor(graph, UInt32(PTO2_FLOAT32.rawValue), 1, &shape, &tensor))
    return tensor
  }

  func elements(_ tensor: pto2_tensor_handle) throws -> UnsafeMutableBufferPointer<Float> {
    var tensor = tensor
    guard let address = api.pointee.data(graph, &tensor) else { throw Failed() }
    return UnsafeMutableBufferPointer(
      start: address.assumingMemoryBound(to: Float.self), count: Int(count))
  }

  /// One vector task: inputs, then `target` in place or a new output.
  func run(
    _ kernel: String, _ inputs: [pto2_tensor_handle], into target: pto2_tensor_handle? = nil,
    scalar: Float? = nil
  ) throws -> pto2_tensor_handle {
    var tensors = inputs + [target ?? pto2_tensor_handle()]
    var scalars = scalar.map { [UInt64($0.bitPattern)] } ?? []
    return try tensors.withUnsafeMutableBufferPointer { tensors in
      var arguments = tensors.indices.map { index in
        var argument = pto2_argument()
        argument.access = UInt32(PTO2_INPUT.rawValue)
        argument.tensor = tensors.baseAddress! + index
        return argument
      }
      let last = arguments.count - 1
      arguments[last].access = UInt32(target == nil ? PTO2_OUTPUT.rawValue : PTO2_INOUT.rawValue)
      arguments[last].dtype = UInt32(PTO2_FLOAT32.rawValue)
      arguments[last].rank = 1
      arguments[last].shape.0 = count
      try kernel.withCString { name in
        try arguments.withUnsafeBufferPointer { arguments in
          try scalars.withUnsafeMutableBufferPointer { scalars in
            var submission = pto2_submission()
            submission.kernels.1 = name
            submission.arguments = arguments.baseAddress
            submission.argument_count = UInt32(arguments.count)
            submission.scalars = UnsafePointer(scalars.baseAddress)
            submission.scalar_count = UInt32(scalars.count)
            try check(api.pointee.submit(graph, &submission, nil))
          }
        }
      }
      return tensors[last]
    }
  }

  func compute() throws {
    let (a, b, result) = (try external(), try external(), try external())
    let (x, y) = (try elements(a), try elements(b))
    for i in x.indices {
      x[i] = Float(i % 1000) * 0.5
      y[i] = Float(i % 777) * 0.25
    }
    let sum = try run("vec_add", [a, b])
    let one = try run("vec_add_scalar", [sum], scalar: 1)
    let two = try run("vec_add_scalar", [sum], scalar: 2)
    _ = try run("vec_mul", [one, two], into: result)
    try check(api.pointee.wait(graph))
    let out = try elements(result)
    for i in out.indices where out[i] != (x[i] + y[i] + 1) * (x[i] + y[i] + 2) {
      try check(api.pointee.fail(graph, "element \(i) is \(out[i])"))
    }
  }
}

@_cdecl("pto2_program_main")
public func programMain(
  _ api: UnsafePointer<pto2_program_api>, _ graph: OpaquePointer, _ argc: Int32,
  _ argv: UnsafePointer<UnsafePointer<CChar>?>
) -> Int32 {
  guard api.pointee.major == UInt32(PTO2_PROGRAM_MAJOR) else { return 2 }
  let argument = argc > 1 ? argv[1].map { String(cString: $0) } : "65536"
  guard let argument, let count = UInt32(argument), count > 0 else {
    return api.pointee.fail(graph, "the number of elements must be above 0")
  }
  do {
    try Vectors(api: api, graph: graph, count: count).compute()
    return 0
  } catch { return 1 }
}

/// NULL-terminated names of the images this program needs.
nonisolated(unsafe) private let images: UnsafeMutablePointer<UnsafePointer<CChar>?> = {
  let name: StaticString = "VectorKernels"
  let list = UnsafeMutablePointer<UnsafePointer<CChar>?>.allocate(capacity: 2)
  list[0] = UnsafeRawPointer(name.utf8Start).assumingMemoryBound(to: CChar.self)
  list[1] = nil
  return list
}()

@_cdecl("pto2_program_images")
public func programImages() -> UnsafePointer<UnsafePointer<CChar>?> { UnsafePointer(images) }
