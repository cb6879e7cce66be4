import CPTO2Segment
import Glibc
import Harness
import PTO2Protocol
import PTO2System
import PlayedRank
import Testing

/// A link over a library that fails, and then never comes back from its abort, as an MPI whose
/// mpirun is ending itself.
@Suite struct AbortTests {
  @Test func linkEndsThoughItsAbortHangs() throws {
    let folder = Command.temporaryDirectory()
    defer { removeDirectory(folder) }
    let source = repositoryRoot + "Tests/Fixtures/HangingLink/hanging_link.c"
    let headers = repositoryRoot + "Sources/CPTO2Link/include"
    let built = Command(
      "cc", ["-shared", "-fPIC", "-I", headers, "-o", folder + "/table.so", source],
      isOnPath: true
    ).wait()
    try #require(built.status == 0, "\(built.errors)")
    let played = try PlayedRank(name: freshSegment("abort"), rank: 0, of: 2)
    let link = Command(
      "pto2-link", ["--segment", played.name, "--parent", "\(getpid())"],
      environment: ["PTO2_LINK": folder + "/table.so"])
    #expect(link.waitUntil { played.linkControl == PTO2_LINK_FATAL }, "\(link.errors)")
    played.control(PTO2_CONTROL_FATAL)
    let result = link.wait(seconds: 20)
    let error = try #require(played.linkError)
    #expect(error.message.contains("failed with -7") && result.status == error.exitStatus)
  }
}
