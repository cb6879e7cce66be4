internal import CPTO2Linux
internal import Glibc

/// Ends this process with words of its own when it touches a part of the segment
/// that is gone, because somebody made the object smaller.
package struct TruncationWatch {
  /// Ascending, from 0.
  package var sections: [(offset: UInt64, name: String)]
  /// Standard error, and standard output; each three pieces, between which stand the
  /// offset and the section's name. Empty: nothing.
  package var error: [String]
  package var output: [String]
  package var exitStatus: Int32
  /// Whether the name is removed.
  package var isNameRemoved: Bool

  package init(
    sections: [(offset: UInt64, name: String)], error: [String], output: [String] = [],
    exitStatus: Int32, isNameRemoved: Bool = false
  ) {
    self.sections = sections
    self.error = error
    self.output = output
    self.exitStatus = exitStatus
    self.isNameRemoved = isNameRemoved
  }

  /// From now on, in every thread; the latest watch of a process counts. The mapping
  /// and the object must live until `end`.
  package func begin(_ object: borrowing SharedMemoryObject, _ mapping: borrowing Mapping) {
    #if !PTO2_SIMULATION
      install(object, mapping)
    #endif
  }

  #if !PTO2_SIMULATION
    private func install(_ object: borrowing SharedMemoryObject, _ mapping: borrowing Mapping) {
      var strings: [UnsafeMutablePointer<CChar>?] = unsafe []
      func keep(_ text: String) -> UnsafePointer<CChar>? {
        let copy = unsafe strdup(text)
        unsafe strings.append(copy)
        return unsafe UnsafePointer(copy)
      }
      defer { for index in unsafe strings.indices { unsafe free(strings[index]) } }
      var names: [UnsafePointer<CChar>?] = unsafe []
      for section in sections { unsafe names.append(keep(section.name)) }
      let offsets = sections.map(\.offset)
      var wanted = unsafe pto2_truncation()
      unsafe wanted.base = mapping.base
      unsafe wanted.bytes = mapping.bytes
      unsafe wanted.fd = object.descriptor
      unsafe wanted.status = exitStatus
      unsafe wanted.sections = UInt32(sections.count)
      if error.count == 3 { unsafe wanted.error = (keep(error[0]), keep(error[1]), keep(error[2])) }
      if output.count == 3 {
        unsafe wanted.output = (keep(output[0]), keep(output[1]), keep(output[2]))
      }
      if isNameRemoved && !SharedMemoryObject.isPath(object.name) {
        unsafe wanted.path = keep("/dev/shm" + object.name)
      }
      unsafe offsets.withUnsafeBufferPointer { offsets in
        unsafe names.withUnsafeBufferPointer { names in
          unsafe wanted.offsets = offsets.baseAddress
          unsafe wanted.names = names.baseAddress
          _ = unsafe pto2_watch_truncation(&wanted)
        }
      }
    }
  #endif

  package static func end() { pto2_end_truncation_watch() }
}
