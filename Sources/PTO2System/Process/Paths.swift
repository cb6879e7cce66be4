internal import CPTO2Linux
internal import Glibc

/// Where the executable of this process lies, with a slash at the end.
package func executableDirectory() -> String {
  var buffer = [UInt8](repeating: 0, count: 4096)
  let length = unsafe buffer.withUnsafeMutableBytes {
    unsafe readlink("/proc/self/exe", $0.baseAddress!, $0.count)
  }
  // Without /proc: how it was called, as the kernel has kept it.
  let path =
    length > 0
    ? String(decoding: buffer[..<length], as: UTF8.self)
    : unsafe pto2_executed_path().map { unsafe resolvedPath(String(cString: $0)) ?? "" } ?? ""
  guard path.contains("/") else { return "" }
  return String(path[...(path.lastIndex(of: "/") ?? path.startIndex)])
}

/// Where the executables lie of the prefix that this program was built with, with a slash
/// at the end; nil for one that was built with the package's sources.
package func prefixExecutableDirectory() -> String? {
  unsafe pto2_executables_of_prefix().map { unsafe String(cString: $0) + "/" }
}

/// True when the path is a file this process may execute (or read).
package func isAccessible(_ path: String, execute: Bool = false) -> Bool {
  unsafe access(path, execute ? X_OK : R_OK) == 0
}

/// The absolute path without links; nil when there is no such file.
package func resolvedPath(_ path: String) -> String? {
  guard let resolved = unsafe realpath(path, nil) else { return nil }
  defer { unsafe free(resolved) }
  return unsafe String(cString: resolved)
}

/// An environment variable.
package func environment(_ name: String) -> String? {
  unsafe getenv(name).map { unsafe String(cString: $0) }
}
