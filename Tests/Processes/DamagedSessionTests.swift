import Glibc
import Harness
import PTO2Segment
import Testing

/// A whole session, half way, of which somebody overwrites a section of one kind: it ends with
/// an error within 15 s, or goes on as if nothing had been. No process dies of a signal, and
/// none is started again and again.
@Suite(.serialized) struct DamagedSessionTests {
  private func overwrite(_ kind: SectionKind, with byte: UInt8, in segment: String) throws {
    let layout = try SegmentReader.open(name: segment).layout
    let descriptor = shm_open("/" + segment, O_RDWR, 0)
    try #require(descriptor >= 0)
    defer { close(descriptor) }
    for section in layout.sections where section.kind == kind {
      let bytes = [UInt8](repeating: byte, count: Int(section.bytes))
      try #require(pwrite(descriptor, bytes, bytes.count, off_t(section.offset)) == bytes.count)
    }
  }

  @Test(
    arguments: [
      SectionKind.schedulerWords, .dataMainBase, .consumedRing, .slotStates, .fanout,
      .orchestratorWords, .submissionLog, .mainRing, .dispatchTable, .fanin,
    ], [UInt8(0), 0xFF])
  func overwrittenPageEndsTheSessionOrNothing(kind: SectionKind, byte: UInt8) throws {
    let segment = freshSegment("damaged-\(kind.rawValue)-\(byte)")
    let command = Command(
      "pto2-orchestrator",
      [
        "--program", Command.buildDirectory + "libTestProgram.so", "--quiet", "--segment", segment,
        "--task-window", "64", "--consumed-window", "2048", "--dep-pool", "256", "--", "endless",
      ])
    try #require(command.waitUntil { command.output.contains("running") })
    try overwrite(kind, with: byte, in: segment)
    let deadline = time(nil) + 15
    while command.isRunning && time(nil) < deadline { usleep(5000) }
    // It still runs: it is to end as ever.
    let goesOn = command.isRunning
    if goesOn { command.signal(SIGINT) }
    let result = command.wait()
    #expect(goesOn ? result.status == 130 : (30...62).contains(result.status), "\(result.errors)")
    #expect(goesOn || result.errors.contains("error "), "\(result.errors)")
    for word in ["Fatal error", "Crash", "SIGSEGV", "SIGILL", "SIGTRAP"] {
      #expect(!result.errors.contains(word), "\(result.errors)")
    }
    expectClean(segment)
  }
}
