internal import PTO2System

/// An orchestration and its kernels, as their sources.
package struct CompatProgram {
  /// A kernel source under a number.
  package struct Kernel {
    package let id: Int32
    package let isMatrix: Bool
    package let source: String
    /// Folders of its own headers.
    package let folders: [String]

    package var coreType: String { isMatrix ? "aic" : "aiv" }

    /// As "ID:aic:SOURCE" or "ID:aiv:SOURCE,FOLDER,...".
    /// - Returns: nil for anything else.
    package init?(_ text: String) {
      let parts = text.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard parts.count == 3, let id = Int32(parts[0]), id >= 0, !parts[2].isEmpty,
        parts[1] == "aic" || parts[1] == "aiv"
      else { return nil }
      let paths = parts[2].split(separator: ",").map(String.init)
      guard let source = paths.first else { return nil }
      (self.id, self.source, folders) = (id, source, Array(paths.dropFirst()))
      isMatrix = parts[1] == "aic"
    }

    /// In the image, in reports and in traces.
    package var name: String {
      String("k\(id)_\(stem(source))".prefix(47))
    }

    /// What is compiled once, however many numbers it has.
    var unit: String { "\(coreType) \(resolvedPath(source) ?? source) \(folders)" }
  }

  package var orchestration: String
  package var kernels: [Kernel]
  package var entry = "aicpu_orchestration_entry"
  /// Of the program and its image, without "lib".
  package var name: String
  package var outputFolder: String
  package var includeFolders: [String] = []
  package var compiler: String?
  package var flags: [String] = []
  package var jobs = 1

  package init(orchestration: String, kernels: [Kernel], outputFolder: String) {
    (self.orchestration, self.kernels) = (orchestration, kernels)
    self.outputFolder = outputFolder
    name = stem(orchestration)
  }

  package var programPath: String { "\(outputFolder)/lib\(name).so" }
  package var imagePath: String { "\(outputFolder)/lib\(name)_kernels.so" }

  /// The folder of the ISA library among the included ones.
  package var isaFolder: String? {
    for folder in includeFolders {
      for candidate in [folder, folder + "/include"]
      where isAccessible(candidate + "/pto/pto-inst.hpp") {
        return candidate
      }
    }
    return nil
  }
}

/// A file's name without folders and suffix; letters, digits and _.
func stem(_ path: String) -> String {
  let file = path.split(separator: "/").last ?? ""
  let name = file.prefix { $0 != "." }
  return String(name.map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_" })
}
