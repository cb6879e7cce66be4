import CPTO2Segment
import Glibc
import PTO2Segment
import PTO2System
import PTO2Worker

/// libFuzzKernels.so beside this executable.
func fuzzKernelsPath() -> String {
  var buffer = [UInt8](repeating: 0, count: 4096)
  let count = readlink("/proc/self/exe", &buffer, buffer.count)
  let path = String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
  return path.prefix(through: path.lastIndex(of: "/")!) + "libFuzzKernels.so"
}

/// The reader of kernel tables, over a table whose every field is damaged. The
/// table of the image lies in writable memory, and loading the image once more
/// gives the same memory again.
final class ImageTarget: FuzzTarget {
  private let path = fuzzKernelsPath()
  private let table: UnsafeMutablePointer<pto2_kernel_table>
  private let good: pto2_kernel_table
  private let functions: [UInt]

  init() throws {
    let image = try KernelImage(path: path)
    functions = image.kernels.map(\.address)
    let symbol = try LoadedImage(path: path).symbol(PTO2_KERNEL_TABLE_SYMBOL)!
    table = UnsafeMutableRawPointer(mutating: symbol)
      .assumingMemoryBound(to: pto2_kernel_table.self)
    good = table.pointee
  }

  func run(_ input: inout Input) throws {
    table.pointee = good
    defer { table.pointee = good }
    let flags = input.byte()
    let count = input.index(5)
    // Heap memory: an entry, or a byte of a name, too many is found.
    var names: [UnsafeMutablePointer<CChar>] = []
    let entries = UnsafeMutablePointer<pto2_kernel_entry>.allocate(capacity: max(1, count))
    defer {
      entries.deallocate()
      for name in names { name.deallocate() }
    }
    for index in 0..<count {
      let length = input.index(60)
      let name = UnsafeMutablePointer<CChar>.allocate(capacity: length + 1)
      for place in 0..<length { name[place] = CChar(bitPattern: max(1, input.byte())) }
      name[length] = 0
      names.append(name)
      let how = input.byte()
      let address: UInt =
        how & 3 == 0 ? functions[index % functions.count] : input.number(UInt.self)
      (entries + index).initialize(
        to: pto2_kernel_entry(
          name: how & 0x10 == 0 ? UnsafePointer(name) : nil,
          function: how & 0x20 == 0
            ? unsafeBitCast(max(1, address), to: pto2_kernel_function.self) : nil,
          core_type: pto2_core_type(how & 0x40 == 0 ? UInt32(how >> 7) : input.value())))
    }
    table.pointee.entries = flags & 1 == 0 ? UnsafePointer(entries) : nil
    table.pointee.count = UInt32(count)
    // A count beyond the array is the image's own lie: only what is refused.
    if flags & 2 != 0 {
      table.pointee.count = max(UInt32(PTO2_MAX_KERNELS) + 1, input.number(UInt32.self))
    }
    if flags & 4 != 0 { table.pointee.magic = input.value(near: good.magic) }
    if flags & 8 != 0 { table.pointee.major = input.value(near: good.major) }
    if flags & 16 != 0 { table.pointee.bytes = input.value(near: good.bytes) }
    if flags & 32 != 0 { table.pointee.entry_bytes = input.value(near: good.entry_bytes) }
    if flags & 64 != 0 { table.pointee.args_bytes = input.value(near: good.args_bytes) }
    do {
      let image = try KernelImage(path: path)
      expect(image.kernels.count == count, "\(image.kernels.count) kernels of \(count)")
      _ = KernelDirectory([image, image])
    } catch { expect(!error.description.isEmpty, "an error without words") }
  }

  static let seeds: [[UInt8]] = {
    var seeds: [[UInt8]] = [[0, 0], [1, 1], [2, 1, 1, 65, 0], [4, 0, 0, 1], [8, 0, 0, 1]]
    for how in [UInt8(0), 0x80, 1, 0x10, 0x20, 0x40] {
      seeds.append([0, 2, 3, 65, 66, 67, how, 2, 68, 69, how, 1, 2, 3, 4, 5, 6, 7, 8])
    }
    return seeds
  }()
}
