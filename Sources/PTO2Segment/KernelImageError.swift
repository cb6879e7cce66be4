internal import CPTO2Segment

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
