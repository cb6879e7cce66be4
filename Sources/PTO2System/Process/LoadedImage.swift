internal import CPTO2Linux
internal import Glibc

/// A shared object in this process: dlopen(3), kept until the process ends.
@safe package struct LoadedImage {
  private let handle: UnsafeMutableRawPointer

  package enum Failure: Error {
    /// dlerror(3)'s words.
    case cannotLoad(String)
  }

  /// - Parameters:
  ///   - path: with a slash in it, so that no search path is used.
  ///   - isGlobal: what is loaded later sees its symbols, and those of what it needs.
  package init(path: String, isGlobal: Bool = false) throws(Failure) {
    unsafe pto2_note_object(path)
    if let complaint = ObjectFile.complaint(path) { throw .cannotLoad(complaint) }
    // A constructor may set the thread's rounding, or let denormals be flushed.
    let floating = pto2_save_floating()
    defer { pto2_restore_floating(floating) }
    guard let handle = unsafe dlopen(path, RTLD_NOW | (isGlobal ? RTLD_GLOBAL : RTLD_LOCAL)) else {
      throw .cannotLoad(
        unsafe dlerror().map { unsafe String(cString: $0) } ?? "cannot load \(path)")
    }
    unsafe self.handle = handle
  }

  /// dlsym(3); nil when the image has no such symbol.
  package func symbol(_ name: String) -> UnsafeRawPointer? {
    unsafe dlsym(handle, name).map { UnsafeRawPointer($0) }
  }

  /// C++ exceptions that leave its functions are described in their thread's crash record.
  package func recordExceptions() { unsafe pto2_record_exceptions(handle) }

  /// Whether so many bytes can be read at an address that an image has given.
  package static func isReadable(_ address: UnsafeRawPointer, bytes: Int) -> Bool {
    unsafe pto2_is_readable(address, bytes) != 0
  }

  /// What identifies the loaded object that contains an address.
  package struct Object {
    /// Difference between an address in memory and one in the file.
    package var base: UInt
    /// Where its instructions are.
    package var code: Range<UInt>
    /// The GNU build id, empty when the image has none.
    package var buildID: [UInt8]
    package var path: String
  }

  package static func object(containing address: UnsafeRawPointer) -> Object? {
    var found = pto2_loaded_object()
    guard unsafe pto2_find_object(address, &found) == 0 else { return nil }
    let length = Int(found.identity_length)
    let identity = unsafe withUnsafeBytes(of: found.identity) { unsafe [UInt8]($0.prefix(length)) }
    let path = unsafe withUnsafeBytes(of: found.path) { bytes in
      unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
    return Object(
      base: UInt(found.base), code: UInt(found.code_begin)..<UInt(found.code_end),
      buildID: identity, path: path)
  }
}
