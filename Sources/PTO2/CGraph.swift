package import CPTO2
internal import Glibc
package import PTO2Orchestrator
package import PTO2Protocol
internal import PTO2System

/// Kernels by the names a program in C asked for, and by the handles it got. One per
/// session: a handle is good for every run.
@safe package final class CKernels {
  /// In the upper half of a handle: tells one from memory nobody filled.
  private static let magic: UInt64 = 0x4B45_524E << 32

  private var names: [UnsafeMutablePointer<CChar>] = unsafe []
  private var kernels: [Kernel] = []
  /// Numbers of names, hashed; `nobody` for a free place. At most half are in use.
  private var table = [UInt32](repeating: nobody, count: 64)
  private static let nobody = UInt32.max
  /// Recorded tasks by the handles a program has; nil once they are freed.
  private var templates: [TaskTemplate?] = []
  private static let templateMagic: UInt64 = 0x5250_4C59 << 32

  package init() {}
  deinit { for index in unsafe names.indices { unsafe Glibc.free(names[index]) } }

  /// The handle of a name; makes a Swift string only the first time.
  func handle(_ name: UnsafePointer<CChar>, in graph: Graph) throws(PTO2Error) -> pto2_kernel {
    unsafe try handle(name) { name throws(PTO2Error) in try graph.kernel(name) }
  }

  package func handle(
    _ name: UnsafePointer<CChar>, find: (String) throws(PTO2Error) -> Kernel
  ) throws(PTO2Error) -> pto2_kernel {
    let place = unsafe place(of: name).place
    if table[place] != Self.nobody {
      return pto2_kernel(opaque: Self.magic | UInt64(table[place]))
    }
    let kernel = try find(unsafe String(cString: name))
    let index = UInt32(kernels.count)
    kernels.append(kernel)
    unsafe names.append(strdup(name))
    table[place] = index
    if kernels.count * 2 > table.count { grow() }
    return pto2_kernel(opaque: Self.magic | UInt64(index))
  }

  /// Where a name is in the table, or would be, and how many places were looked at.
  package func place(of name: UnsafePointer<CChar>) -> (place: Int, looks: Int) {
    var hash = FNV1a()
    var next = unsafe name
    while unsafe next.pointee != 0 {
      hash.add(UInt8(bitPattern: unsafe next.pointee))
      unsafe next += 1
    }
    let mask = table.count - 1
    var place = Int(truncatingIfNeeded: hash.value ^ hash.value >> 32) & mask
    var looks = 1
    while table[place] != Self.nobody, unsafe strcmp(names[Int(table[place])], name) != 0 {
      place = (place + 1) & mask
      looks += 1
    }
    return (place, looks)
  }

  private func grow() {
    table = [UInt32](repeating: Self.nobody, count: 2 * table.count)
    for index in unsafe names.indices {
      table[unsafe place(of: names[index]).place] = UInt32(index)
    }
  }

  /// The kernel of a handle; nil for {0}.
  @inline(__always)
  func kernel(_ handle: pto2_kernel) throws(PTO2Error) -> Kernel? {
    if handle.opaque == 0 { return nil }
    let index = handle.opaque ^ Self.magic
    guard index < UInt64(kernels.count) else {
      throw PTO2Error(.invalidArgs, "a kernel handle was not filled by this session's API")
    }
    return kernels[Int(index)]
  }

  func handle(_ template: TaskTemplate) -> pto2_template {
    templates.append(template)
    return pto2_template(opaque: Self.templateMagic | UInt64(templates.count - 1))
  }

  func template(_ handle: pto2_template) throws(PTO2Error) -> TaskTemplate {
    let index = handle.opaque ^ Self.templateMagic
    guard index < UInt64(templates.count), let template = templates[Int(index)] else {
      throw PTO2Error(
        .invalidArgs, "a template handle was not filled by this session's API, or was freed")
    }
    return template
  }

  func free(_ handle: pto2_template) throws(PTO2Error) {
    _ = try template(handle)
    templates[Int(handle.opaque ^ Self.templateMagic)] = nil
  }
}

/// What stands behind a `pto2_graph *`: a graph, and its first error.
@safe package final class CGraph {
  let graph: Graph
  let kernels: CKernels
  /// The first error; every later call fails with it.
  package private(set) var error: PTO2Error?
  /// Why the last call made no view; nil once a call has succeeded.
  private var refusal: PTO2Error?
  private var isRefused = false
  /// Their words, for a program that asks. The first is the first error's.
  private var words: (UnsafeMutablePointer<CChar>?, UnsafeMutablePointer<CChar>?)

  package init(_ graph: Graph, kernels: CKernels) {
    self.graph = graph
    self.kernels = kernels
    unsafe words = (nil, nil)
  }
  deinit {
    unsafe free(words.0)
    unsafe free(words.1)
  }

  /// Valid as long as this object is.
  package var handle: OpaquePointer {
    unsafe OpaquePointer(Unmanaged.passUnretained(self).toOpaque())
  }

  static func of(_ handle: OpaquePointer?) -> CGraph {
    unsafe Unmanaged<CGraph>.fromOpaque(UnsafeRawPointer(handle!)).takeUnretainedValue()
  }

  /// 0, or the error's code, and it is kept.
  @inline(__always)
  func call(_ body: () throws(PTO2Error) -> Void) -> pto2_error {
    if let error { return pto2_error(error.number) }
    do throws(PTO2Error) {
      try body()
      if isRefused { forgetRefusal() }
      return PTO2_ERROR_NONE
    } catch { return keep(error) }
  }

  /// Makes a view, or says why not: the run goes on without it, and the handle is none.
  func view(
    _ out: UnsafeMutablePointer<pto2_tensor_handle>?,
    _ body: () throws(PTO2Error) -> AnyTensor
  ) -> pto2_error {
    if let error { return pto2_error(error.number) }
    do throws(PTO2Error) {
      let view = try body()
      unsafe out?.pointee = TensorHandle.encode(view)
      if isRefused { forgetRefusal() }
      return PTO2_ERROR_NONE
    } catch {
      unsafe out?.pointee = TensorHandle.refused
      refusal = error
      isRefused = true
      unsafe free(words.1)
      unsafe words.1 = strdup(error.description)
      return pto2_error(error.number)
    }
  }

  @inline(never)
  private func forgetRefusal() {
    refusal = nil
    isRefused = false
  }

  private func keep(_ error: PTO2Error) -> pto2_error {
    self.error = error
    unsafe words.0 = strdup(error.description)
    return pto2_error(error.number)
  }

  /// The first error, or why the last call made no view.
  package var lastError: PTO2Error? { error ?? refusal }
  /// Its words; NULL for none.
  var message: UnsafePointer<CChar>? {
    unsafe UnsafePointer(error != nil ? words.0 : isRefused ? words.1 : nil)
  }

  /// The kernel of one place of a task, by handle or by name.
  @inline(__always)
  func kernel(_ handle: pto2_kernel, _ name: UnsafePointer<CChar>?) throws(PTO2Error) -> Kernel? {
    guard let name = unsafe name else { return try kernels.kernel(handle) }
    guard handle.opaque == 0 else {
      throw PTO2Error(
        .invalidArgs, "kernel \"\(unsafe String(cString: name))\" is given by name and by handle")
    }
    return try kernels.kernel(unsafe kernels.handle(name, in: graph))
  }
}

extension CGraph {
  /// Calls a program. Its first failed call, or a status other than 0, is thrown.
  package static func run(
    _ graph: Graph, kernels: CKernels,
    _ program: (UnsafePointer<pto2_program_api>, OpaquePointer) -> Int32
  ) throws {
    let graph = CGraph(graph, kernels: kernels)
    let status = unsafe program(programAPI, graph.handle)
    if let error = graph.error { throw error }
    guard status == 0 else {
      // It returned because of a view that there is not.
      if let refusal = graph.lastError { throw refusal }
      throw ProgramStatus(status: status)
    }
  }
}

/// A program that returned a status other than 0 without a failed call.
struct ProgramStatus: Error, CustomStringConvertible {
  var status: Int32
  var description: String { "the program returned \(status)" }
}

extension pto2_error_info {
  /// An error as C sees it; all 0 but `ring` and `task` for nil.
  package init(_ error: PTO2Error?) {
    self.init()
    code = pto2_error(error?.number ?? 0)
    task = error?.task?.rawValue ?? UInt64.max
    needed = error?.needed ?? 0
    available = error?.available ?? 0
    ring = Int32(error?.ring ?? -1)
    let words = error?.description ?? ""
    unsafe withUnsafeMutableBytes(of: &message) { message in
      var count = min(words.utf8.count, message.count - 1)
      let bytes = Array(words.utf8)
      // Not in the middle of a character.
      while count > 0, count < bytes.count, bytes[count] & 0xC0 == 0x80 { count -= 1 }
      unsafe message.copyBytes(from: bytes[..<count])
    }
  }
}
