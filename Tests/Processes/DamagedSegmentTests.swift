import CPTO2Segment
import Glibc
import Harness
import PTO2Script
import PTO2Segment
import PTO2Sight
import PTO2System
import Testing

/// Tools on segments that are damaged at random: each says something and ends, and nothing
/// is written.
@Suite(.serialized) struct DamagedSegmentTests {
  /// The segment of a session that stands still, in a file.
  private func copyOfASession(_ segment: String, to path: String) throws -> [UInt8] {
    let command = Command(
      "pto2-orchestrator",
      [
        "--program", Command.buildDirectory + "libStuckProgram.so", "--quiet", "--segment", segment,
        "--task-window", "8", "--consumed-window", "8", "--heap", "1024", "--rings", "2",
        "--dep-pool", "16", "--arena", "4096", "--lanes", "4", "--", "heap",
      ])
    try #require(
      command.waitUntil {
        Command.run("pto2", ["stuck", "--seconds", "0.1", segment]).output
          .contains("heap of ring 1")
      })
    #expect(Command.run("/bin/cp", ["/dev/shm/" + segment, path]).status == 0)
    command.signal(SIGINT)
    usleep(20_000)
    command.signal(SIGINT)
    _ = command.wait()
    expectClean(segment)
    return bytes(of: path)
  }

  private func bytes(of path: String) -> [UInt8] {
    let descriptor = open(path, O_RDONLY)
    defer { close(descriptor) }
    let size = Int(lseek(descriptor, 0, SEEK_END))
    var bytes = [UInt8](repeating: 0, count: max(0, size))
    #expect(pread(descriptor, &bytes, size, 0) == size)
    return bytes
  }

  /// A few words of any section, of any value; at times the end is cut off.
  private func damage(
    _ whole: [UInt8], _ layout: SegmentLayout, _ random: inout SplitMix64
  ) -> [UInt8] {
    var bytes = whole
    let odd: [UInt32] = [
      0, 1, 7, 8, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 0xFFFF_FFFE, 0x7FFF_FFF0, 0x7FFF_FFFD,
      0x7FFF_FFFE, 0x4000_0005, 0xC000_0005,
    ]
    let sections = layout.sections.filter { $0.usedBytes > 0 }
    for _ in 0..<(1 + random.next() % 8) {
      let section = sections[Int(random.next() % UInt64(sections.count))]
      // The first records are those that are in use.
      let span = random.next() % 2 == 0 ? min(section.usedBytes, 640) : section.usedBytes
      let place = Int(section.offset + random.next() % max(1, span / 4) * 4)
      let value =
        random.next() % 2 == 0
        ? odd[Int(random.next() % UInt64(odd.count))] : UInt32(truncatingIfNeeded: random.next())
      for byte in 0..<4 {
        bytes[place + byte] = UInt8(truncatingIfNeeded: value >> UInt32(8 * byte))
      }
    }
    if random.next() % 16 == 0 {
      bytes.removeSubrange(Int(random.next() % UInt64(bytes.count))...)
    }
    return bytes
  }

  private func write(_ bytes: [UInt8], to descriptor: Int32) {
    #expect(ftruncate(descriptor, off_t(bytes.count)) == 0)
    #expect(pwrite(descriptor, bytes, bytes.count, 0) == bytes.count)
  }

  /// All that the tools say of it.
  /// - Parameter path: in /dev/shm, where `pto2 list` finds it.
  /// - Returns: false when it is refused.
  private func look(at path: String) -> Bool {
    if Segment.sweep(String(path.dropFirst(9)), removing: false) == .absent { return false }
    guard let reader = try? PictureReader(path, taskLimit: 64) else { return false }
    let picture = reader.picture()
    let diagnosis = diagnose(picture, since: [picture])
    let inspection = Inspection(picture)
    var texts = [diagnosis.json.text, inspection.text, inspection.json.text, Sizing(picture).text]
    texts += picture.rings.compactMap { inspection.ring($0.index) }
    texts += picture.rings.compactMap { ring in
      ring.tasks.first.flatMap { reader.task($0.id, in: picture) }.map(inspection.task)
    }
    texts += picture.cores.map(inspection.core)
    if let run = try? reader.recordedRun(), let text = try? Transcript.text(run) {
      texts.append(text)
    }
    var history = TopHistory()
    history.note(reader.cores(), at: 0)
    let lines = render(
      history.view(picture), ScreenSize(columns: 80, rows: 24),
      ScreenStyle(isUnicode: false, hasColours: false))
    return !lines.isEmpty && texts.allSatisfy { !$0.isEmpty && !$0.contains("\u{1B}") }
  }

  /// So many times, or as often as PTO2_DAMAGE_ROUNDS says. One process does it all: one for
  /// each tool and damage would take minutes.
  @Test func anyDamageIsSurvived() throws {
    let path = "/dev/shm/" + freshSegment("damage-anywhere")
    defer { unlink(path) }
    let whole = try copyOfASession(freshSegment("damage"), to: path)
    let layout = try PictureReader(path).layout
    #expect(look(at: path), "not exercised: the copy is refused")
    #expect(try Transcript.text(PictureReader(path).recordedRun()).contains("c_sleep"))
    // Of another boot nobody is alive, and /proc is not asked; but at times it is.
    var old = whole
    let bootID = MemoryLayout<pto2_header>.offset(of: \.boot_id)!
    old[bootID] ^= 0xFF
    let descriptor = open(path, O_RDWR)
    defer { close(descriptor) }
    var random = SplitMix64(seed: 0xDA_3A6E)
    var shown = 0
    let rounds = environment("PTO2_DAMAGE_ROUNDS").flatMap { Int($0) } ?? 10_000
    for round in 0..<rounds {
      let bytes = damage(round % 16 == 0 ? whole : old, layout, &random)
      write(bytes, to: descriptor)
      if look(at: path) { shown += 1 }
      var after = [UInt8](repeating: 0, count: bytes.count + 1)
      let count = pread(descriptor, &after, after.count, 0)
      guard count == bytes.count, memcmp(after, bytes, count) == 0 else {
        Issue.record("a tool has written to the segment")
        break
      }
    }
    #expect(shown > rounds / 2, "most are looked into, not refused")
  }

  /// The same through the executables, a handful.
  @Test func toolsEndOnAnyDamage() throws {
    let folder = Command.temporaryDirectory()
    defer { removeDirectory(folder) }
    let path = folder + "/segment"
    let whole = try copyOfASession(freshSegment("damage-tools"), to: path)
    let layout = try PictureReader(path).layout
    var random = SplitMix64(seed: 7)
    let name = freshSegment("damaged")
    let descriptor = shm_open("/" + name, O_RDWR | O_CREAT | O_EXCL, 0o600)
    defer {
      close(descriptor)
      shm_unlink("/" + name)
    }
    for _ in 0..<5 {
      write(damage(whole, layout, &random), to: descriptor)
      for arguments in [["list"], ["inspect", name], ["stuck", name], ["top", "-b", name]] {
        let result = Command.run("pto2", arguments)
        #expect([0, 1, 2, 73].contains(result.status), "\(arguments): \(result.errors)")
      }
    }
  }

  /// The file is cut while it is open.
  @Test func endThatIsCutOffIsSaid() throws {
    let folder = Command.temporaryDirectory()
    defer { removeDirectory(folder) }
    let path = folder + "/segment"
    let whole = try copyOfASession(freshSegment("cut"), to: path)
    let reader = try PictureReader(path)
    #expect(reader.picture().damage.isEmpty, "\(reader.picture().damage)")
    for size in [whole.count - 4096, whole.count / 2, 4096, 0] {
      #expect(truncate(path, off_t(size)) == 0)
      let damage = reader.picture().damage
      #expect(
        damage.contains { $0.hasPrefix("the file ends at byte \(size) of \(whole.count)") },
        "\(damage)")
    }
  }
}
