import CPTO2Segment
import Glibc

/// A session's words, seen from outside: mapped read-only, with no lock taken, so
/// that nothing in the session depends on it.
final class SegmentView {
  let coreCount: Int
  private let header: UnsafeRawPointer
  private let scheduler: UnsafeRawPointer
  private let cores: UnsafeRawPointer
  private let bytes: (scheduler: Int, cores: Int)
  private let coreStride: Int
  private let laneCount: Int
  private let path: String
  private let coresOffset: Int

  /// - Returns: nil while there is no such segment, or it is not published yet.
  init?(_ name: String) {
    path = "/dev/shm/" + name
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_size > 4096,
      let first = mmap(nil, 4096, PROT_READ, MAP_SHARED, descriptor, 0), first != MAP_FAILED
    else { return nil }
    let header = first.load(as: pto2_header.self)
    var found: [UInt32: pto2_section] = [:]
    withUnsafeBytes(of: header.sections) { sections in
      for section in sections.bindMemory(to: pto2_section.self)
        .prefix(Int(min(header.section_count, UInt32(PTO2_MAX_SECTIONS))))
      where found[section.kind] == nil { found[section.kind] = section }
    }
    guard header.magic == PTO2_MAGIC, let words = found[PTO2_SECTION_SCHEDULER],
      let pages = found[PTO2_SECTION_CORES],
      let scheduler = mmap(
        nil, Int(words.bytes), PROT_READ, MAP_SHARED, descriptor, off_t(words.offset)),
      scheduler != MAP_FAILED,
      let cores = mmap(
        nil, Int(pages.bytes), PROT_READ, MAP_SHARED, descriptor, off_t(pages.offset)),
      cores != MAP_FAILED
    else {
      munmap(first, 4096)
      return nil
    }
    self.header = UnsafeRawPointer(first)
    self.scheduler = UnsafeRawPointer(scheduler)
    self.cores = UnsafeRawPointer(cores)
    bytes = (Int(words.bytes), Int(pages.bytes))
    coreCount = 3 * Int(header.configuration.clusters)
    coreStride = Int(pages.bytes) / coreCount
    laneCount = Int(header.configuration.lanes)
    coresOffset = Int(pages.offset)
  }

  deinit {
    munmap(UnsafeMutableRawPointer(mutating: header), 4096)
    munmap(UnsafeMutableRawPointer(mutating: scheduler), bytes.scheduler)
    munmap(UnsafeMutableRawPointer(mutating: cores), bytes.cores)
  }

  /// Never kept in a register: others store it.
  @inline(never)
  private func word(_ address: UnsafeRawPointer) -> UInt32 { address.load(as: UInt32.self) }

  func ready(_ core: Int) -> UInt32 { word(cores + core * coreStride + Int(PTO2_CORE_READY)) }
  func fenced(_ core: Int) -> UInt32 { word(scheduler + Int(PTO2_SCHED_FENCED) + 4 * core) }
  func workerPid(_ core: Int) -> pid_t {
    pid_t(bitPattern: word(cores + core * coreStride + Int(PTO2_CORE_PROCESS)))
  }
  var schedulerPid: pid_t { pid_t(bitPattern: word(scheduler + Int(PTO2_SCHED_PROCESS))) }
  var isSchedulerAttached: Bool {
    word(scheduler + Int(PTO2_SCHED_CONTROL)) != PTO2_SCHED_ABSENT
  }
  /// A worker serves the core.
  func isServed(_ core: Int) -> Bool { ready(core) != 0 && ready(core) != fenced(core) }

  /// The lane of the kernel that the core runs.
  func runningLane(_ core: Int) -> Int? {
    guard isServed(core) else { return nil }
    return (0..<laneCount).first { lane in
      let value = word(cores + core * coreStride + Int(PTO2_CORE_COND) + 4 * lane)
      return value & PTO2_COND_FIN == 0 && value != PTO2_CORE_IDLE && value != PTO2_EXITED
    }
  }

  /// Stores a COND word, as a kernel of that core could.
  func damage(_ core: Int, lane: Int, _ value: UInt32) -> Bool {
    var value = value
    return withFile {
      pwrite($0, &value, 4, off_t(coresOffset + core * coreStride + Int(PTO2_CORE_COND) + 4 * lane))
        == 4
    }
  }

  /// Nothing of the segment is left; this view must not be looked at any more.
  func truncate() -> Bool { withFile { ftruncate($0, 0) == 0 } }

  private func withFile(_ body: (Int32) -> Bool) -> Bool {
    let descriptor = open(path, O_WRONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    return body(descriptor)
  }
}

/// `aic0`, `aiv0`, `aiv1` are cores 0 to 2.
func coreIndex(_ name: String) -> Int? {
  guard let number = Int(name.dropFirst(3)) else { return nil }
  return name.hasPrefix("aic") ? 3 * number : 3 * (number / 2) + 1 + number % 2
}
