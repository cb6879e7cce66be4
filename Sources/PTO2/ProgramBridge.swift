internal import CPTO2
internal import Glibc
package import PTO2Orchestrator
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
      case .cannotLoad(let reason):
        throw PTO2Error(.invalidArgs, "program \(path) cannot be loaded: \(reason)")
      }
    }
    guard let main = unsafe object.symbol(PTO2_PROGRAM_MAIN_SYMBOL) else {
      throw PTO2Error(
        .invalidArgs,
        "program \(path) does not export \(PTO2_PROGRAM_MAIN_SYMBOL): it was not compiled with this version's pto2_program.h"
      )
    }
    // Of data there is nothing to call.
    guard unsafe LoadedImage.object(containing: main)?.code.contains(UInt(bitPattern: main)) == true
    else {
      throw PTO2Error(
        .invalidArgs, "program \(path): its \(PTO2_PROGRAM_MAIN_SYMBOL) is no function")
    }
    unsafe entry = unsafeBitCast(main, to: pto2_program_main_function.self)
    var images: [String] = []
    if let symbol = unsafe object.symbol(PTO2_PROGRAM_IMAGES_SYMBOL) {
      guard
        unsafe LoadedImage.object(containing: symbol)?.code.contains(UInt(bitPattern: symbol))
          == true
      else {
        throw PTO2Error(
          .invalidArgs, "program \(path): its \(PTO2_PROGRAM_IMAGES_SYMBOL) is no function")
      }
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
    let copies: [UnsafeMutablePointer<CChar>] = unsafe arguments.map { text in
      let bytes = [UInt8](text.utf8) + [0]
      let copy = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count)
      for (index, byte) in bytes.enumerated() { unsafe copy[index] = CChar(bitPattern: byte) }
      return unsafe copy
    }
    defer { for index in unsafe copies.indices { unsafe copies[index].deallocate() } }
    var argv: [UnsafePointer<CChar>?] = unsafe copies.map { unsafe UnsafePointer($0) }
    unsafe argv.append(nil)
    unsafe try CGraph.run(graph, kernels: CKernels()) { api, graph in
      unsafe entry(api, graph, Int32(arguments.count), argv)
    }
  }
}
