internal import ArgumentParser
internal import CPTO2ABI
internal import Glibc
internal import PTO2Orchestrator
package import PTO2Protocol
internal import PTO2System

/// A program in a shared object, called through the C ABI of pto2_program.h.
@safe package struct SharedObjectProgram {
  private let entry: pto2_program_main_function
  /// Images the program asks for; beside it they are looked for first.
  package let images: [String]

  /// Loads the object; its dependencies and constructors too.
  package init(path: String) throws(PTO2Error) {
    let object: LoadedImage
    do { object = try LoadedImage(path: path) } catch {
      switch error {
      case .cannotLoad(let reason), .noSymbol(let reason):
        throw PTO2Error(.invalidArgs, "program \(path) cannot be loaded: \(reason)")
      }
    }
    guard let main = unsafe object.symbol(PTO2_PROGRAM_MAIN_SYMBOL) else {
      throw PTO2Error(
        .invalidArgs,
        "program \(path) does not export \(PTO2_PROGRAM_MAIN_SYMBOL), see pto2_program.h")
    }
    unsafe entry = unsafeBitCast(main, to: pto2_program_main_function.self)
    var images: [String] = []
    if let symbol = unsafe object.symbol(PTO2_PROGRAM_IMAGES_SYMBOL) {
      let function = unsafe unsafeBitCast(symbol, to: pto2_program_images_function.self)
      var list = unsafe function()
      while let pointer = unsafe list, let name = unsafe pointer.pointee {
        images.append(unsafe String(cString: name))
        unsafe list = pointer + 1
      }
    }
    self.images = images
  }

  /// Calls the program. Its first failed call, or a status other than 0, is
  /// thrown.
  package func run(_ graph: Graph, arguments: [String]) throws {
    let box = ProgramBox(graph)
    var api = programAPI
    let handle = unsafe OpaquePointer(Unmanaged.passUnretained(box).toOpaque())
    let copies: [UnsafeMutablePointer<CChar>] = unsafe arguments.map { text in
      let bytes = [UInt8](text.utf8) + [0]
      let copy = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count)
      for (index, byte) in bytes.enumerated() { unsafe copy[index] = CChar(bitPattern: byte) }
      return unsafe copy
    }
    defer { unsafe copies.forEach { unsafe $0.deallocate() } }
    var argv: [UnsafePointer<CChar>?] = unsafe copies.map { unsafe UnsafePointer($0) }
    unsafe argv.append(nil)
    let status = unsafe entry(&api, handle, Int32(arguments.count), argv)
    if let error = box.error { throw error }
    guard status == 0 else { throw ProgramStatus(status: status) }
  }
}

/// A program that returned a status other than 0 without a failed call.
struct ProgramStatus: Error, CustomStringConvertible {
  var status: Int32
  var description: String { "the program returned \(status)" }
}

/// What stands behind a `pto2_graph *`.
@safe final class ProgramBox {
  let graph: Graph
  /// The first error; every later call fails with it.
  private(set) var error: (any Error)?
  private(set) var message: UnsafeMutablePointer<CChar>?

  /// Kernels looked up so far, by the C names they were asked for.
  private var kernels: [(name: UnsafeMutablePointer<CChar>, kernel: Kernel)] = unsafe []

  init(_ graph: Graph) { self.graph = graph }
  deinit {
    unsafe message?.deallocate()
    unsafe kernels.forEach { unsafe free($0.name) }
  }

  /// The kernel of a C name, nil for NULL; makes a Swift string only the first
  /// time.
  func kernel(_ name: UnsafePointer<CChar>?) throws(PTO2Error) -> Kernel? {
    guard let name = unsafe name else { return nil }
    if let known = unsafe kernels.first(where: { unsafe strcmp($0.name, name) == 0 }) {
      return unsafe known.kernel
    }
    let kernel = try graph.kernel(unsafe String(cString: name))
    unsafe kernels.append((strdup(name), kernel))
    return kernel
  }

  /// 0, or -1 and the error is kept.
  func call(_ body: () throws -> Void) -> Int32 {
    if error != nil { return -1 }
    do {
      try body()
      return 0
    } catch {
      self.error = error
      let bytes = [UInt8]("\(error)".utf8) + [0]
      let text = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count)
      for (index, byte) in bytes.enumerated() { unsafe text[index] = CChar(bitPattern: byte) }
      unsafe message = text
      return -1
    }
  }

  static func of(_ handle: OpaquePointer?) -> ProgramBox {
    unsafe Unmanaged<ProgramBox>.fromOpaque(UnsafeRawPointer(handle!)).takeUnretainedValue()
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

private func dataType(_ raw: UInt32) throws(PTO2Error) -> DataType {
  guard raw < UInt32(PTO2_DTYPE_COUNT), let type = DataType(rawValue: UInt8(raw)) else {
    throw PTO2Error(.invalidArgs, "data type \(raw): expected 0 to \(PTO2_DTYPE_COUNT - 1)")
  }
  return type
}

private var programAPI: pto2_program_api {
  unsafe pto2_program_api(
    abi_major: UInt32(PTO2_ABI_MAJOR), bytes: UInt32(MemoryLayout<pto2_program_api>.size),
    external_tensor: { handle, type, rank, extents, out in
      let box = unsafe ProgramBox.of(handle)
      return box.call {
        let tensor = try box.graph.external(unsafe shape(rank, extents), dataType(type))
        unsafe out?.pointee = TensorHandle.encode(tensor)
      }
    },
    slice: { handle, base, offsets, extents, out in
      unsafe ProgramBox.of(handle).call {
        let tensor = unsafe try TensorHandle.decode(base)
        let rank = tensor.shape.rank
        guard let offsets = unsafe offsets else {
          throw PTO2Error(.invalidArgs, "slice: offsets are NULL")
        }
        let view = try tensor.slice(
          (0..<rank).map { unsafe Int(offsets[$0]) }, unsafe shape(UInt32(rank), extents))
        unsafe out?.pointee = TensorHandle.encode(view)
      }
    },
    reshape: { handle, base, rank, extents, out in
      unsafe ProgramBox.of(handle).call {
        let view = unsafe try TensorHandle.decode(base).reshape(shape(rank, extents))
        unsafe out?.pointee = TensorHandle.encode(view)
      }
    },
    data: { handle, tensor in
      let box = unsafe ProgramBox.of(handle)
      var address: UnsafeMutableRawPointer?
      _ = box.call {
        unsafe address = unsafe box.graph.core.pointee.address(of: try TensorHandle.decode(tensor))
      }
      return unsafe address
    },
    scope_begin: { handle in
      let box = unsafe ProgramBox.of(handle)
      return box.call { try box.graph.beginScope() }
    },
    scope_end: { handle in
      let box = unsafe ProgramBox.of(handle)
      return box.call { try box.graph.endScope() }
    },
    submit: { handle, submission, task in
      let box = unsafe ProgramBox.of(handle)
      return box.call {
        guard let submission = unsafe submission else {
          throw PTO2Error(.invalidArgs, "the submission is NULL")
        }
        let id = unsafe try submitFromC(box, submission.pointee)
        unsafe task?.pointee.id = id.rawValue
      }
    },
    wait: { handle in
      let box = unsafe ProgramBox.of(handle)
      return box.call { try box.graph.wait() }
    },
    fail: { handle, message in
      let box = unsafe ProgramBox.of(handle)
      let text = unsafe message.map { unsafe String(cString: $0) } ?? "the program failed"
      return box.call { throw box.graph.fail(text) }
    },
    error_message: { handle in unsafe UnsafePointer(ProgramBox.of(handle).message) },
    scope_begin_manual: { handle in
      let box = unsafe ProgramBox.of(handle)
      return box.call { try box.graph.beginScope(.manual) }
    })
}

private func submitFromC(_ box: ProgramBox, _ submission: pto2_submission) throws -> TaskID {
  let aic = unsafe try box.kernel(submission.kernels.0)
  let aiv0 = unsafe try box.kernel(submission.kernels.1)
  let aiv1 = unsafe try box.kernel(submission.kernels.2)
  if unsafe (submission.argument_count > 0 && submission.arguments == nil)
    || (submission.scalar_count > 0 && submission.scalars == nil)
    || (submission.dependency_count > 0 && submission.dependencies == nil)
  {
    throw PTO2Error(.invalidArgs, "arguments, scalars or dependencies are NULL")
  }
  return try box.graph.submitRaw(aic, aiv0, aiv1) { (task: inout TaskArguments) throws(PTO2Error) in
    unsafe try stage(submission, into: &task)
  }
}

private func stage(_ predicate: pto2_predicate, into task: inout TaskArguments) throws(PTO2Error) {
  guard let handle = unsafe predicate.tensor else { return }
  let tensor = unsafe try TensorHandle.decode(handle)
  guard let comparison = Comparison(rawValue: UInt8(clamping: unsafe predicate.comparison)) else {
    throw PTO2Error(.invalidArgs, "comparison \(unsafe predicate.comparison): expected 0 to 5")
  }
  guard unsafe tensor.shape.rank == 0 || predicate.index != nil else {
    throw PTO2Error(.invalidArgs, "predicate: the index is NULL")
  }
  let index = (0..<tensor.shape.rank).map { unsafe Int(predicate.index[$0]) }
  switch tensor.dataType {
  case .float32, .float16, .bfloat16:
    task.when(tensor, at: index, comparison, unsafe predicate.real)
  default: task.when(tensor, at: index, comparison, Int(unsafe predicate.integer))
  }
}

private func stage(_ submission: pto2_submission, into task: inout TaskArguments) throws(PTO2Error)
{
  for index in 0..<Int(unsafe submission.argument_count) {
    let argument = unsafe submission.arguments[index]
    switch Int32(bitPattern: unsafe argument.access) {
    case PTO2_INPUT: task.input(unsafe try TensorHandle.decode(argument.tensor))
    case PTO2_INOUT: task.inout(unsafe try TensorHandle.decode(argument.tensor))
    case PTO2_OUTPUT_EXISTING:
      task.outputExisting(unsafe try TensorHandle.decode(argument.tensor))
    case PTO2_NO_DEP: task.noDependency(unsafe try TensorHandle.decode(argument.tensor))
    case PTO2_OUTPUT:
      let e = unsafe argument.shape
      let rank = unsafe Int(argument.rank)
      guard rank <= Int(PTO2_MAX_RANK) else {
        throw PTO2Error(
          .invalidArgs, "argument \(index): rank \(rank), expected 0 to \(PTO2_MAX_RANK)")
      }
      let tensor = task.output(Shape(rank: rank, extents: e), try dataType(unsafe argument.dtype))
      unsafe argument.tensor?.pointee = TensorHandle.encode(tensor)
    default:
      throw PTO2Error(
        .invalidArgs, "argument \(index): access \(unsafe argument.access) is not valid")
    }
  }
  for index in 0..<Int(unsafe submission.scalar_count) {
    task.scalar(unsafe submission.scalars[index])
  }
  for index in 0..<Int(unsafe submission.dependency_count) {
    let dependency = unsafe submission.dependencies[index]
    let id = TaskID(rawValue: dependency.task.id)
    if dependency.retain != 0 { task.retain(id) } else { task.after(id) }
  }
  if unsafe submission.block_count > 1 || submission.require_sync_start != 0 {
    task.blocks(
      Int(unsafe max(1, submission.block_count)),
      startTogether: unsafe submission.require_sync_start != 0)
  }
  unsafe try stage(submission.predicate, into: &task)
}

/// Loads a program and runs it in a session; `ExitCode` as in `RuntimeOptions.run`.
package func runSharedObject(_ path: String, arguments: [String], options: RuntimeOptions) throws {
  // A bare file name is a file here, not something on the loader's path.
  let path = path.contains("/") ? path : "./" + path
  let program: SharedObjectProgram
  do { program = try SharedObjectProgram(path: path) } catch {
    let failure = SessionFailure(text: "error: \(error.message)", exitStatus: ExitStatus.usage)
    if options.json {
      writeOutput(
        failureJSON(program: path, error: failure.error, exitStatus: failure.exitStatus))
    }
    writeError("pto2-orchestrator: \(failure.text)")
    throw ExitCode(failure.exitStatus)
  }
  let directory = String(path[...path.lastIndex(of: "/")!])
  let name = String(path[path.index(after: path.lastIndex(of: "/")!)...])
  try options.runSession(name, images: program.images, imageDirectories: [directory]) { graph in
    try program.run(graph, arguments: [name] + arguments)
  }
}
