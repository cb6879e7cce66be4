internal import Glibc
internal import PTO2System

/// What a shared object's headers say, read without loading it.
struct ElfImage {
  enum Failure: Error {
    case cannotRead(String)
    case notELF
    case cut
  }

  var is64 = false
  var isLittleEndian = false
  var type: UInt16 = 0
  var machine: UInt16 = 0
  var buildID: [UInt8] = []
  var hasTextRelocations = false
  var hasStaticTLS = false
  var isExecutable = false
  var hasExecutableStack = false
  var needed: [String] = []
  /// Names of the dynamic symbols that are defined.
  var symbols: Set<String> = []

  init(path: String) throws(Failure) {
    let result: Result<ElfImage, Failure>
    do throws(SystemError) {
      result = try unsafe withFile(path) { bytes in
        do throws(Failure) { return .success(try unsafe ElfImage(bytes)) } catch {
          return .failure(error)
        }
      }
    } catch { throw .cannotRead(error.description) }
    self = try result.get()
  }

  private init(_ bytes: UnsafeRawBufferPointer) throws(Failure) {
    guard bytes.count >= 20, unsafe bytes[0] == 0x7F, unsafe bytes[1] == UInt8(ascii: "E"),
      unsafe bytes[2] == UInt8(ascii: "L"), unsafe bytes[3] == UInt8(ascii: "F")
    else { throw .notELF }
    is64 = unsafe bytes[4] == 2
    isLittleEndian = unsafe bytes[5] == 1
    func half(_ at: Int) -> UInt16 {
      let (a, b) = unsafe (UInt16(bytes[at]), UInt16(bytes[at + 1]))
      return isLittleEndian ? b << 8 | a : a << 8 | b
    }
    (type, machine) = (half(16), half(18))
    // Of others nothing more is looked at: they cannot be loaded.
    guard is64, isLittleEndian else { return }
    let reader = unsafe Reader(bytes: bytes)
    let header = try reader.record(0, as: Elf64_Ehdr.self)
    // An object file has none.
    let size = Int(header.e_phentsize)
    guard header.e_phnum == 0 || size == MemoryLayout<Elf64_Phdr>.stride else { throw .cut }
    var segments: [Elf64_Phdr] = []
    for index in 0..<UInt64(header.e_phnum) {
      segments.append(
        try reader.record(
          header.e_phoff &+ index * UInt64(MemoryLayout<Elf64_Phdr>.stride), as: Elf64_Phdr.self))
    }
    for segment in segments {
      switch segment.p_type {
      case UInt32(PT_NOTE): buildID = reader.buildID(segment) ?? buildID
      case UInt32(PT_GNU_STACK): hasExecutableStack = segment.p_flags & UInt32(PF_X) != 0
      case UInt32(PT_DYNAMIC): try readDynamic(segment, segments, reader)
      default: break
      }
    }
  }

  private mutating func readDynamic(
    _ dynamic: Elf64_Phdr, _ segments: [Elf64_Phdr], _ reader: borrowing Reader
  ) throws(Failure) {
    var entries: [Int64: UInt64] = [:]
    var names: [UInt64] = []
    for index in 0..<dynamic.p_filesz / 16 {
      let tag = try reader.record(dynamic.p_offset &+ index * 16, as: Int64.self)
      let value = try reader.record(dynamic.p_offset &+ index * 16 &+ 8, as: UInt64.self)
      if tag == 0 { break }
      if tag == Int64(DT_NEEDED) { names.append(value) } else { entries[tag] = value }
    }
    let flags = entries[Int64(DT_FLAGS)] ?? 0
    hasTextRelocations = entries[Int64(DT_TEXTREL)] != nil || flags & UInt64(DF_TEXTREL) != 0
    hasStaticTLS = flags & UInt64(DF_STATIC_TLS) != 0
    isExecutable = (entries[0x6FFF_FFFB] ?? 0) & 0x0800_0000 != 0  // DT_FLAGS_1, DF_1_PIE
    func offset(_ address: UInt64?) -> UInt64? {
      guard let address else { return nil }
      for segment in segments where segment.p_type == UInt32(PT_LOAD) {
        if address >= segment.p_vaddr, address - segment.p_vaddr < segment.p_filesz {
          return segment.p_offset &+ (address - segment.p_vaddr)
        }
      }
      return nil
    }
    guard let strings = offset(entries[Int64(DT_STRTAB)]) else { return }
    needed = names.compactMap { reader.text(strings &+ $0) }
    guard let table = offset(entries[Int64(DT_SYMTAB)]), table < strings else { return }
    // The strings follow the symbols, as linkers lay them out.
    for index in 1..<max(1, (strings - table) / UInt64(MemoryLayout<Elf64_Sym>.stride)) {
      let symbol = try reader.record(
        table &+ index * UInt64(MemoryLayout<Elf64_Sym>.stride), as: Elf64_Sym.self)
      if symbol.st_shndx != 0, let name = reader.text(strings &+ UInt64(symbol.st_name)) {
        symbols.insert(name)
      }
    }
  }

  /// Records of the file, none beyond its end.
  @safe private struct Reader: ~Copyable {
    let bytes: UnsafeRawBufferPointer
    private var size: UInt64 { unsafe UInt64(bytes.count) }

    init(bytes: UnsafeRawBufferPointer) { unsafe self.bytes = bytes }

    func record<Record: BitwiseCopyable>(_ at: UInt64, as: Record.Type) throws(Failure) -> Record {
      guard at <= size, size - at >= MemoryLayout<Record>.size
      else { throw .cut }
      let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[Int(at)...])
      return unsafe rest.loadUnaligned(as: Record.self)
    }

    func text(_ at: UInt64) -> String? {
      guard at < size else { return nil }
      let rest = unsafe bytes[Int(at)...].prefix(4096)
      guard let end = unsafe rest.firstIndex(of: 0) else { return nil }
      return unsafe String(decoding: rest[..<end], as: UTF8.self)
    }

    func buildID(_ notes: Elf64_Phdr) -> [UInt8]? {
      var at = notes.p_offset
      let end = notes.p_offset &+ notes.p_filesz
      while at < end, let note = try? record(at, as: Elf64_Nhdr.self) {
        let name = at &+ 12
        let description = name &+ (UInt64(note.n_namesz) &+ 3) & ~3
        if note.n_type == 3, text(name) == "GNU", description < size {
          return unsafe [UInt8](bytes[Int(description)...].prefix(Int(note.n_descsz)))
        }
        at = description &+ (UInt64(note.n_descsz) &+ 3) & ~3
      }
      return nil
    }
  }
}
