internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2System

/// A shared object of kernels, loaded into this process for its life.
package struct KernelImage {
  package struct Kernel {
    package var name: String
    /// Bytes from the image's load base; the same in every process.
    package var offset: UInt64
    /// PTO2_AIC, PTO2_AIV or PTO2_ANY_CORE.
    package var coreType: UInt32
    /// The function here.
    package var address: UInt
  }

  /// Absolute.
  package let path: String
  /// The GNU build id; FNV-1a of the file when it has none.
  package let identity: [UInt8]
  package let kernels: [Kernel]
  /// What every core calls before its first kernel: the function here; nil: nothing.
  package let initializer: UInt?
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

    do throws(BadTable) {
      let table = unsafe try Self.table(at: symbol)
      kernels = try unsafe Self.kernels(of: table, in: object)
      initializer = try unsafe Self.initializer(of: table, in: object)
    } catch { throw .badTable(path: path, reason: error.reason) }
    self.path = path
    identity = object.buildID.isEmpty ? Self.fileIdentity(path) : object.buildID
    var hash = FNV1a()
    for kernel in kernels {
      hash.add(kernel.name)
      hash.add(UInt64(kernel.coreType))
      hash.add(kernel.offset)
    }
    tableHash = hash.value
    self.object = image
  }

  /// A worker's: see `LoadedImage`.
  func recordExceptions() { object.recordExceptions() }

  private struct BadTable: Error {
    var reason: String
    init(_ reason: String) { self.reason = reason }
  }

  /// The table, whose last member older images do not have.
  private static func table(at symbol: UnsafeRawPointer) throws(BadTable) -> pto2_kernel_table {
    var table = unsafe pto2_kernel_table()
    func read(_ bytes: Int) throws(BadTable) {
      guard unsafe LoadedImage.isReadable(symbol, bytes: bytes) else {
        throw BadTable("its symbol is no table")
      }
      unsafe withUnsafeMutableBytes(of: &table) {
        unsafe $0.copyMemory(from: UnsafeRawBufferPointer(start: symbol, count: bytes))
      }
    }
    try read(leastTable)
    let bytes = unsafe Int(table.bytes)
    if bytes > leastTable { try read(unsafe min(bytes, MemoryLayout<pto2_kernel_table>.size)) }
    return unsafe table
  }

  private static func initializer(
    of table: pto2_kernel_table, in object: LoadedImage.Object
  ) throws(BadTable) -> UInt? {
    guard let function = unsafe table.initializer else { return nil }
    let address = unsafe unsafeBitCast(function, to: UInt.self)
    guard object.code.contains(address) else {
      throw BadTable("its init function is not in the image's code")
    }
    return address
  }

  private static func kernels(of table: pto2_kernel_table, in object: LoadedImage.Object)
    throws(BadTable) -> [Kernel]
  {
    guard unsafe table.magic == PTO2_KERNEL_TABLE_MAGIC else { throw BadTable("wrong magic") }
    guard unsafe table.major == PTO2_KERNEL_MAJOR else {
      throw BadTable(
        "it has version \(unsafe table.major), this runtime \(PTO2_KERNEL_MAJOR): compile it again")
    }
    try unsafe checkSizes(table)
    guard unsafe table.count > 0, unsafe table.count <= PTO2_MAX_KERNELS,
      let entries = unsafe table.entries
    else { throw BadTable("\(unsafe table.count) kernels, expected 1 to \(PTO2_MAX_KERNELS)") }
    let bytes = unsafe Int(table.count) * MemoryLayout<pto2_kernel_entry>.stride
    guard unsafe LoadedImage.isReadable(UnsafeRawPointer(entries), bytes: bytes) else {
      throw BadTable("its entries lie nowhere")
    }
    var kernels: [Kernel] = []
    for index in 0..<Int(unsafe table.count) {
      kernels.append(try unsafe kernel(entries[index], index, in: object))
    }
    return kernels
  }

  private static func kernel(
    _ entry: pto2_kernel_entry, _ index: Int, in object: LoadedImage.Object
  ) throws(BadTable) -> Kernel {
    guard let namePointer = unsafe entry.name, let function = unsafe entry.function else {
      throw BadTable("entry \(index) has no name or no function")
    }
    let name = try unsafe text(at: UnsafeRawPointer(namePointer), index)
    guard (1..<Int(PTO2_KERNEL_NAME_BYTES)).contains(name.utf8.count) else {
      throw BadTable("name \"\(name)\" has \(name.utf8.count) bytes, expected 1 to 47")
    }
    guard unsafe [PTO2_AIC, PTO2_AIV, PTO2_ANY_CORE].contains(entry.core_type) else {
      throw BadTable("kernel \(name) has core type \(unsafe entry.core_type.rawValue)")
    }
    let address = unsafe unsafeBitCast(function, to: UInt.self)
    guard object.code.contains(address) else {
      throw BadTable("kernel \(name) is not in the image's code")
    }
    let offset = UInt64(address - object.base)
    guard offset <= CallWord.maximumOffset else {
      throw BadTable("kernel \(name) lies beyond 1 TiB")
    }
    return unsafe Kernel(
      name: name, offset: offset, coreType: entry.core_type.rawValue, address: address)
  }

  /// A name, read no further than an error would show.
  private static func text(at address: UnsafeRawPointer, _ index: Int) throws(BadTable) -> String {
    let limit = 256
    // Of one near the end of what is mapped, byte by byte.
    let isAllReadable = unsafe LoadedImage.isReadable(address, bytes: limit)
    var bytes: [UInt8] = []
    while bytes.count < limit {
      let next = unsafe address + bytes.count
      guard isAllReadable || (unsafe LoadedImage.isReadable(next, bytes: 1)) else {
        throw BadTable("the name of entry \(index) lies nowhere")
      }
      let byte = unsafe next.load(as: UInt8.self)
      if byte == 0 { break }
      bytes.append(byte)
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// The table as the first images knew it.
  private static let leastTable = 32

  /// `pto2_kernel_args` as the first images knew it.
  private static let leastArguments = 48

  /// Older images know less of a table, an entry or a call, newer ones more than this
  /// runtime has. Of an entry there is one size so far.
  private static func checkSizes(_ table: pto2_kernel_table) throws(BadTable) {
    let entry = unsafe MemoryLayout<pto2_kernel_entry>.stride
    let sizes: [(UInt32, ClosedRange<Int>, String)] = [
      (unsafe table.bytes, leastTable...(unsafe MemoryLayout<pto2_kernel_table>.size), "table"),
      (unsafe table.entry_bytes, entry...entry, "entry"),
      (
        unsafe table.args_bytes, leastArguments...(unsafe MemoryLayout<pto2_kernel_args>.size),
        "pto2_kernel_args"
      ),
    ]
    for (bytes, known, what) in sizes where !known.contains(Int(bytes)) {
      throw BadTable(
        "its \(what) has \(bytes) bytes, this runtime's \(known.upperBound): compile it again")
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
