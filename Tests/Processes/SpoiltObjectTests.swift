import Glibc
import Harness
import Testing

/// Files of programs and images that somebody writes to while they are mapped: error 205, one
/// message, whoever meets it.
@Suite(.elsewhereToo) struct SpoiltObjectTests {
  /// A program and its image, to be spoilt by the program itself.
  private final class Copies {
    let folder = Command.temporaryDirectory()
    var program: String { folder + "/libRudeProgram.so" }
    var image: String { folder + "/libRudeKernels.so" }

    init() throws {
      for path in [program, image] {
        let original = Command.buildDirectory + path.dropFirst(folder.utf8.count + 1)
        writeBytes(try #require(readBytes(original)), path)
      }
    }

    deinit { removeDirectory(folder) }
  }

  enum Object: CaseIterable { case program, image }

  /// Made smaller, or with -1 written over, before more of it is needed.
  @Test(arguments: Object.allCases, [0, 4096, -1])
  func objectThatIsSpoiltInUseEndsTheRun(object: Object, bytes: Int) throws {
    let copies = try Copies()
    let segment = freshSegment("spoilt-\(object)-\(bytes)")
    let path = object == .program ? copies.program : copies.image
    let result = Command.run(
      "pto2-orchestrator",
      [
        "--program", copies.program, "--quiet", "--json", "--segment", segment, "--", "spoil",
        path, "\(bytes)",
      ])
    #expect(result.status == 45, "\(result.errors)")
    #expect(result.messages.count == 1, "\(result.errors)")
    #expect(result.errors.contains("error 205 IMAGE_REFUSED: "), "\(result.errors)")
    #expect(result.errors.contains(path), "\(result.errors)")
    #expect(number("code", in: result.output) == 205, "\(result.output)")
    #expect(number("exit_status", in: result.output) == 45, "\(result.output)")
    expectClean(segment)
  }

  /// Its destructor is gone: the report is out by then.
  @Test(arguments: [0, -1])
  func imageThatIsSpoiltAtTheEndLosesNoReport(bytes: Int) throws {
    let copies = try Copies()
    let segment = freshSegment("spoilt-late-\(bytes)")
    let result = Command.run(
      "pto2-orchestrator",
      [
        "--program", copies.program, "--quiet", "--json", "--segment", segment, "--",
        "spoil-late", copies.image, "\(bytes)",
      ])
    #expect(result.status == 45, "\(result.errors)")
    #expect(result.messages.count == 1, "\(result.errors)")
    #expect(
      result.errors.contains("\(copies.image) was written to while it was in use"),
      "\(result.errors)")
    #expect(number("kernels", in: result.output) == 10, "\(result.output)")
    expectClean(segment)
  }

  /// The run has failed before, and has said why: its status stays.
  @Test func errorBeforeTheEndStays() throws {
    let copies = try Copies()
    let segment = freshSegment("spoilt-failed")
    let result = Command.run(
      "pto2-orchestrator",
      [
        "--program", copies.program, "--quiet", "--json", "--segment", segment, "--",
        "spoil-late", copies.image, "0", "fail",
      ])
    #expect(result.status == 19, "\(result.errors)")
    #expect(result.messages.count == 1, "\(result.errors)")
    #expect(number("exit_status", in: result.output) == 19, "\(result.output)")
    expectClean(segment)
  }

  /// A worker that was started by hand says it itself; the next one refuses the image.
  @Test func workerThatWasStartedByHandSaysSo() throws {
    let copies = try Copies()
    let segment = freshSegment("spoilt-by-hand")
    let orchestrator = Command(
      "pto2-orchestrator",
      [
        "--program", copies.program, "--quiet", "--no-launch", "--segment", segment, "--",
        "spoil", copies.image, "0",
      ])
    let scheduler = Command("pto2-scheduler", ["--segment", segment])
    let cores = ["--segment", segment, "--cores", "aic0,aiv0,aiv1"]
    let worker = Command("pto2-worker", cores).wait()
    #expect(worker.status == 45, "\(worker.errors)")
    #expect(worker.messages.count == 1, "\(worker.errors)")
    #expect(
      worker.errors.contains("\(copies.image) was written to while it was in use: it had "),
      "\(worker.errors)")
    let next = Command("pto2-worker", cores).wait()
    #expect(next.status == 45, "\(next.errors)")
    #expect(next.errors.contains("\(copies.image) is empty"), "\(next.errors)")
    // There is time for a worker with the right image, unless the scheduler has seen that one's
    // error with the death of the first.
    orchestrator.signal(SIGINT)
    let result = orchestrator.wait()
    #expect([130, 45].contains(result.status), "\(result.errors)")
    #expect([0, 45].contains(scheduler.wait().status), "\(scheduler.errors)")
    expectClean(segment)
  }
}
