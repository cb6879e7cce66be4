import CPTO2Segment
import Glibc
import PTO2Segment
import PTO2System
import PTO2Worker

/// Attach over a damaged header: a typed error, or a segment whose every
/// section lies inside the object.
final class HeaderTarget: FuzzTarget {
  private let segment: SegmentUnderTest
  private let good: [UInt8]
  private let directory = KernelDirectory([])

  static let seeds: [[UInt8]] = {
    var seeds: [[UInt8]] = [[0], [1], [2], [3, 200, 0, 0]]
    // One change of each field of the first 512 bytes, repaired or not.
    for offset in stride(from: 0, to: 512, by: 8) {
      for flags in [UInt8(0), 5, 6] {
        seeds.append([flags, UInt8(offset & 0xFF), UInt8(offset >> 8), 1, 1, 1])
      }
    }
    return seeds
  }()

  init() throws {
    segment = try SegmentUnderTest(tinyConfiguration(rings: 2))
    good = [UInt8](
      UnsafeRawBufferPointer(start: segment.raw, count: MemoryLayout<pto2_header>.stride))
  }

  func run(_ input: inout Input) throws {
    let flags = input.byte()
    segment.raw.copyMemory(from: good, byteCount: good.count)
    try segment.owner.object.setSize(segment.layout.totalBytes)
    for _ in 0..<16 where !input.isEmpty {
      let offset = Int(input.number(UInt16.self)) % (good.count - 8)
      let header = segment.layout.section(.header)
      if input.byte() & 1 == 0 {
        segment.damage(input.value(), header, at: offset)
      } else {
        segment.damage(input.number(UInt64.self), header, at: offset)
      }
    }
    if flags & 4 != 0 { try repair() }
    if flags & 8 != 0 { try segment.owner.object.setSize(UInt64(input.number(UInt16.self))) }
    defer { try? segment.owner.object.setSize(segment.layout.totalBytes) }
    // Without magic, attach waits for it.
    let size = try segment.owner.object.size()
    if size >= 8 && segment.raw.load(as: UInt64.self) == 0 { return }
    if size < MemoryLayout<pto2_header>.size { return }
    attach(flags & 1 == 0 ? .scheduler : .worker)
  }

  /// Makes hash, total size and object fit the configuration that the bytes
  /// now say, if it is valid: the checks behind them are reached.
  private func repair() throws {
    for _ in 0..<3 {
      var header = segment.header.content
      do {
        _ = try Segment.check(header, size: UInt64.max)
        break
      } catch .wrongLayout(_, let expected) {
        header.layout_hash = expected
      } catch .truncated(let expected, _) {
        header.total_bytes = expected
      } catch { return }
      segment.raw.storeBytes(of: header, as: pto2_header.self)
    }
    let header = segment.header.content
    // Sparse; beyond the limit of a file it stays as it is.
    if header.total_bytes < 1 << 46 { try? segment.owner.object.setSize(header.total_bytes) }
  }

  private func attach(_ role: RoleSet) {
    do {
      let other = try Segment.attach(name: segment.name, role: role, timeoutMilliseconds: 0)
      let size = try other.object.size()
      try other.configuration.validate()
      var end: UInt64 = 0
      for section in other.layout.sections {
        expect(section.offset == end && section.offset % 4096 == 0, "\(section) is misplaced")
        end = section.offset + section.bytes
        expect(end <= size && end <= other.mapping.bytes, "\(section) ends beyond \(size)")
        // Mapped, both ends.
        for offset in [section.offset, end - 1] {
          _ = other.bytes.address(offset)!.load(as: UInt8.self)
        }
      }
      let last = other.configuration.coreCount - 1
      _ = other.creator()
      _ = ProcessHandle(other.creator())
      _ = other.runningTask(core: last)
      _ = other.kernelName(Int(other.configuration.kernelCount))
      _ = other.kernelName(max(0, Int(other.configuration.kernelCount) - 1))
      if role == .worker {
        var core = try Core(other, core: last, directory: directory)
        _ = core.step()
      }
    } catch let error as SegmentError {
      expect(!error.description.isEmpty, "an error without words")
    } catch { broken("no segment error: \(error)") }
  }
}
