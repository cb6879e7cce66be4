package import CPTO2Segment

/// Text in a record's array of bytes; ends at the first NUL.
private func text(_ bytes: UnsafeRawBufferPointer) -> String {
  unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
}

/// Fills an array of bytes, and the rest with NULs.
private func fill(_ bytes: UnsafeMutableRawBufferPointer, _ content: some Sequence<UInt8>) {
  unsafe bytes.initializeMemory(as: UInt8.self, repeating: 0)
  for (index, byte) in content.prefix(bytes.count).enumerated() { unsafe bytes[index] = byte }
}

/// A kernel image that every process must load. Writer: the orchestrator, before the
/// magic.
@safe package struct ImageRecord: RecordView {
  private let record: UnsafeMutablePointer<pto2_image_record>

  package static var stride: Int { MemoryLayout<pto2_image_record>.stride }

  package init(at base: UnsafeRawPointer) {
    unsafe record = UnsafeMutableRawPointer(mutating: base)
      .assumingMemoryBound(to: pto2_image_record.self)
  }

  /// Whole, as it stands there.
  package var content: pto2_image_record {
    get { unsafe record.pointee }
    nonmutating set { unsafe record.pointee = newValue }
  }

  /// Absolute, at most PTO2_PATH_BYTES - 1 bytes.
  package var path: String {
    get { unsafe withUnsafeBytes(of: &record.pointee.path) { unsafe text($0) } }
    nonmutating set {
      unsafe withUnsafeMutableBytes(of: &record.pointee.path) {
        unsafe fill($0, newValue.utf8.prefix(Int(PTO2_PATH_BYTES) - 1))
      }
    }
  }

  /// The GNU build id, or FNV-1a of the file.
  package var identity: [UInt8] {
    get {
      let length = unsafe min(record.pointee.identity_length, UInt32(PTO2_IDENTITY_BYTES))
      return unsafe withUnsafeBytes(of: &record.pointee.identity) {
        unsafe [UInt8]($0.prefix(Int(length)))
      }
    }
    nonmutating set {
      unsafe record.pointee.identity_length = UInt32(newValue.count)
      unsafe withUnsafeMutableBytes(of: &record.pointee.identity) { unsafe fill($0, newValue) }
    }
  }

  package var kernelCount: UInt32 {
    get { unsafe record.pointee.kernel_count }
    nonmutating set { unsafe record.pointee.kernel_count = newValue }
  }

  /// Of names, core types and offsets.
  package var tableHash: UInt64 {
    get { unsafe record.pointee.table_hash }
    nonmutating set { unsafe record.pointee.table_hash = newValue }
  }
}

/// A kernel by its id. Writer: the orchestrator, before the magic.
@safe package struct KernelRecord: RecordView {
  private let record: UnsafeMutablePointer<pto2_kernel_record>

  package static var stride: Int { MemoryLayout<pto2_kernel_record>.stride }

  package init(at base: UnsafeRawPointer) {
    unsafe record = UnsafeMutableRawPointer(mutating: base)
      .assumingMemoryBound(to: pto2_kernel_record.self)
  }

  package var name: String {
    get {
      let length = unsafe min(record.pointee.name_length, UInt32(PTO2_KERNEL_NAME_BYTES))
      return unsafe withUnsafeBytes(of: &record.pointee.name) {
        unsafe String(decoding: $0.prefix(Int(length)), as: UTF8.self)
      }
    }
    nonmutating set {
      unsafe record.pointee.name_length = UInt32(newValue.utf8.count)
      unsafe withUnsafeMutableBytes(of: &record.pointee.name) { unsafe fill($0, newValue.utf8) }
    }
  }
}

/// Records that lie one after the other, by their index.
@safe package struct RecordList<View: RecordView> {
  private let base: UnsafeRawPointer
  package let count: Int

  /// - Parameter base: the first record; so many records are mapped from there on.
  package init(_ base: UnsafeRawPointer, count: Int) {
    unsafe self.base = base
    self.count = count
  }

  package subscript(index: Int) -> View {
    precondition(index >= 0 && index < count, "a record that is not there")
    return unsafe View(at: base + index * View.stride)
  }
}
