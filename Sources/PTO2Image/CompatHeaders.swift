internal import PTO2System

/// Where the headers are that programs and kernels include.
struct CompatHeaders {
  /// Has pto2_program.h.
  let include: String
  /// Has pto_orchestration_api.h.
  let compat: String

  /// Of the installation that this executable is of, or of its checkout.
  init?() {
    var folder = executableDirectory()
    while let slash = folder.dropLast().lastIndex(of: "/") {
      folder = String(folder[...slash])
      for (include, compat) in [
        ("include/pto2", "include/pto2/compat"),
        ("Sources/CPTO2/include", "Compat"),
      ] where isAccessible(folder + compat + "/pto_orchestration_api.h") {
        (self.include, self.compat) = (folder + include, folder + compat)
        return
      }
    }
    return nil
  }
}
