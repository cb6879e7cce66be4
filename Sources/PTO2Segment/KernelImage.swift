internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2System

/// Why a kernel image cannot be used.
package enum KernelImageError: Error, CustomStringConvertible {
  case notFound(name: String, tried: [String])
  case cannotLoad(path: String, reason: String)
  case noTable(path: String)
  case badTable(path: String, reason: String)
  case duplicateKernel(name: String, first: String, second: String)
  case tooMany(what: String, count: Int, maximum: Int)
  case pathTooLong(path: String)
  /// The image differs from the one the orchestrator loaded.
  case different(path: String, expected: String, found: String)

  package var description: String {
    switch self {
    case .notFound(let name, let tried):
      "kernel image \"\(name)\" not found; tried \(tried.joined(separator: ", ")). Give a path with a slash, or set PTO2_KERNEL_PATH"
    case .cannotLoad(let path, let reason):
      "kernel image \(path) cannot be loaded: \(reason)"
    case .noTable(let path):
      "\(path) is no kernel image: it does not export \(PTO2_KERNEL_TABLE_SYMBOL). Use PTO2_KERNELS(...) of pto2_kernel.h"
    case .badTable(let path, let reason):
      "the kernel table of \(path) is not valid: \(reason)"
    case .duplicateKernel(let name, let first, let second):
      "kernel \"\(name)\" is in two images: \(first) and \(second)"
    case .tooMany(let what, let count, let maximum):
      "\(count) \(what) given, at most \(maximum) can be used"
    case .pathTooLong(let path):
      "the path of kernel image \(path) has \(path.utf8.count) bytes, at most \(PTO2_PATH_BYTES - 1) can be used"
    case .different(let path, let expected, let found):
      "kernel image \(path) differs from the orchestrator's: expected \(expected), found \(found). Rebuild, or restart every process"
    }
  }
}

/// A shared object of kernels, loaded into this process for its life.
package struct KernelImage {
  package struct Kernel {
    package var name: String
    /// Bytes from the image's load base; the same in every process.
    package var offset: UInt64
    /// PTO2_AIC or PTO2_AIV.
    package var coreType: UInt32
    /// The function here.
    package var address: UInt
  }

  /// Absolute.
  package let path: String
  /// The GNU build id; FNV-1a of the file when it has none.
  package let identity: [UInt8]
  package let kernels: [Kernel]
  /// Of names, core types and offsets.
  package let tableHash: UInt64
  private let object: LoadedImage

  /// Loads the image and reads its table; runs the image's constructors.
  package init(path: String) throws(KernelImageError) {
    guard path.utf8.count < Int(PTO2_PATH_BYTES) else { throw .pathTooLong(path: path) }
    let image: LoadedImage
    do { image = try LoadedImage(path: path) } catch {
      switch error {
      case .cannotLoad(let reason):
        throw .cannotLoad(path: path, reason: reason)
      }
    }
    guard let symbol = unsafe image.symbol(PTO2_KERNEL_TABLE_SYMBOL),
      let object = unsafe LoadedImage.object(containing: symbol)
    else { throw .noTable(path: path) }

    let table = unsafe symbol.load(as: pto2_kernel_table.self)
    guard unsafe table.magic == PTO2_KERNEL_TABLE_MAGIC else {
      throw .badTable(path: path, reason: "wrong magic")
    }
    guard unsafe table.major == PTO2_KERNEL_MAJOR else {
      throw .badTable(
        path: path,
        reason:
          "it has version \(unsafe table.major), this runtime \(PTO2_KERNEL_MAJOR): compile it again"
      )
    }
    try unsafe Self.checkSizes(table, path: path)
    guard unsafe table.count > 0, unsafe table.count <= PTO2_MAX_KERNELS,
      let entries = unsafe table.entries
    else {
      throw .badTable(
        path: path, reason: "\(unsafe table.count) kernels, expected 1 to \(PTO2_MAX_KERNELS)")
    }
    var kernels: [Kernel] = []
    var hash = FNV1a()
    for index in 0..<Int(unsafe table.count) {
      let entry = unsafe entries[index]
      guard let namePointer = unsafe entry.name, let function = unsafe entry.function else {
        throw .badTable(path: path, reason: "entry \(index) has no name or no function")
      }
      let name = unsafe String(cString: namePointer)
      let address = unsafe unsafeBitCast(function, to: UInt.self)
      guard (1..<Int(PTO2_KERNEL_NAME_BYTES)).contains(name.utf8.count) else {
        throw .badTable(
          path: path, reason: "name \"\(name)\" has \(name.utf8.count) bytes, expected 1 to 47")
      }
      guard unsafe entry.core_type == PTO2_AIC || entry.core_type == PTO2_AIV else {
        throw .badTable(
          path: path, reason: "kernel \(name) has core type \(unsafe entry.core_type.rawValue)")
      }
      guard object.code.contains(address) else {
        throw .badTable(path: path, reason: "kernel \(name) is not in the image's code")
      }
      let offset = UInt64(address - object.base)
      guard offset <= CallWord.maximumOffset else {
        throw .badTable(path: path, reason: "kernel \(name) lies beyond 1 TiB")
      }
      kernels.append(
        unsafe Kernel(
          name: name, offset: offset, coreType: entry.core_type.rawValue, address: address))
      hash.add(name)
      hash.add(UInt64(unsafe entry.core_type.rawValue))
      hash.add(offset)
    }
    self.path = path
    self.identity = object.buildID.isEmpty ? Self.fileIdentity(path) : object.buildID
    self.kernels = kernels
    self.tableHash = hash.value
    self.object = image
  }

  /// Older images know less of a table, an entry or a call, newer ones more than this
  /// runtime has. There is one version so far, hence one size of each.
  private static func checkSizes(_ table: pto2_kernel_table, path: String) throws(KernelImageError)
  {
    let sizes: [(UInt32, Int, String)] = [
      (unsafe table.bytes, unsafe MemoryLayout<pto2_kernel_table>.size, "table"),
      (unsafe table.entry_bytes, unsafe MemoryLayout<pto2_kernel_entry>.stride, "entry"),
      (unsafe table.args_bytes, unsafe MemoryLayout<pto2_kernel_args>.size, "pto2_kernel_args"),
    ]
    for (bytes, expected, what) in sizes where bytes != expected {
      throw .badTable(
        path: path,
        reason: "its \(what) has \(bytes) bytes, this runtime's \(expected): compile it again")
    }
  }

  private static func fileIdentity(_ path: String) -> [UInt8] {
    let hash = FNV1a.ofFile(path) ?? 0
    return (0..<8).map { UInt8(truncatingIfNeeded: hash >> (8 * UInt64($0))) }
  }

  package var identityText: String { Self.text(identity) }

  static func text(_ identity: [UInt8]) -> String {
    identity.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }
}

extension Segment {
  /// Orchestrator, before the magic: what every process must load.
  func writeImages(_ images: [KernelImage]) {
    var kernelID = 0
    for (index, image) in images.enumerated() {
      let record = ownImageRecords[index]
      record.path = image.path
      record.identity = image.identity
      record.kernelCount = UInt32(image.kernels.count)
      record.tableHash = image.tableHash
      for kernel in image.kernels {
        ownKernelRecords[kernelID].name = kernel.name
        kernelID += 1
      }
    }
  }

  /// Worker: loads every image the header names; refuses one that differs.
  package func loadImages() throws(KernelImageError) -> [KernelImage] {
    var images: [KernelImage] = []
    for index in 0..<Int(configuration.imageCount) {
      let record = imageRecords[index]
      let (path, expected) = (record.path, record.identity)
      // No path at all would be this program, and a name alone is searched for.
      guard path.hasPrefix("/") else {
        throw .cannotLoad(path: path, reason: "the segment's image record \(index) is damaged")
      }
      let image = try KernelImage(path: path)
      guard image.identity == expected else {
        throw .different(
          path: path, expected: "identity \(KernelImage.text(expected))",
          found: "identity \(image.identityText)")
      }
      guard image.tableHash == record.tableHash else {
        throw .different(
          path: path, expected: "table 0x\(String(record.tableHash, radix: 16))",
          found: "table 0x\(String(image.tableHash, radix: 16))")
      }
      images.append(image)
    }
    return images
  }
}
