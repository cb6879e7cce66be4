internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2Segment
package import PTO2System

/// Finds and loads kernel images; kernel names are unique over all of them.
/// - Throws: `imageRefused`.
func loadImages(_ names: [String], directories: [String]) throws(PTO2Error) -> [KernelImage] {
  do throws(KernelImageError) {
    guard names.count <= Int(PTO2_MAX_IMAGES) else {
      throw .tooMany(what: "kernel images", count: names.count, maximum: Int(PTO2_MAX_IMAGES))
    }
    var images: [KernelImage] = []
    var owners: [String: String] = [:]
    for name in names {
      let image = try KernelImage(path: try findImage(name, directories: directories))
      if images.contains(where: { $0.path == image.path }) { continue }
      for kernel in image.kernels {
        if let first = owners.updateValue(image.path, forKey: kernel.name) {
          throw .duplicateKernel(name: kernel.name, first: first, second: image.path)
        }
      }
      images.append(image)
    }
    guard owners.count <= Int(PTO2_MAX_KERNELS) else {
      throw .tooMany(what: "kernels", count: owners.count, maximum: Int(PTO2_MAX_KERNELS))
    }
    return images
  } catch { throw PTO2Error(.imageRefused, "\(error)") }
}

private func findImage(_ name: String, directories: [String]) throws(KernelImageError) -> String {
  var tried = [name]
  if !name.contains("/") {
    let search =
      directories.map { $0.hasSuffix("/") ? $0 : $0 + "/" } + [executableDirectory()]
      + searchPath("PTO2_KERNEL_PATH")
    tried = search.flatMap { (directory: String) -> [String] in
      [directory + name, directory + "lib\(name).so"]
    }
  }
  for path in tried where isAccessible(path) {
    if let resolved = resolvedPath(path) { return resolved }
  }
  throw .notFound(name: name, tried: tried)
}

/// The executable in a directory that was given, in PTO2_BIN_DIR, beside this one, in the
/// prefix it was built with, or on the PATH.
package func findExecutable(_ name: String, first directory: String? = nil) throws(SystemError)
  -> String
{
  var directories = [directory, environment("PTO2_BIN_DIR")]
    .compactMap { $0.flatMap { $0.isEmpty ? nil : $0 + "/" } }
  directories.append(executableDirectory())
  if let prefix = prefixExecutableDirectory() { directories.append(prefix) }
  directories += searchPath("PATH")
  for directory in directories where isAccessible(directory + name, execute: true) {
    return directory + name
  }
  throw SystemError("exec", name, errno: SystemError.notFound)
}

/// The directories of a search path in the environment, each with its slash.
private func searchPath(_ variable: String) -> [String] {
  (environment(variable) ?? "").split(separator: ":").map { String($0) + "/" }
}
