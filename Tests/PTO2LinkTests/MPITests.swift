import CPTO2Segment
import Glibc
import Harness
import PTO2Link
import PTO2Protocol
import PTO2System
import Testing

/// Real links, over a real MPI: `pto2-ranks` under mpirun. Where there is none, or no
/// libpto2-link-mpi.so (`make link`), nothing is checked.
@Suite(.serialized) struct MPITests {
  private static let isThere: Bool = {
    if !Mpirun.isThere { print("no mpirun, or no \(MPITransport.fileName): not checked") }
    return Mpirun.isThere
  }()

  private func run(
    _ ranks: Int, _ mode: String, by transport: String = "self,vader",
    _ variables: [String: String] = [:]
  ) -> Command.Result {
    Mpirun.start(ranks, "pto2-ranks", [mode], by: transport, variables).wait()
  }

  @Test(arguments: [2, 3, 4], ["self,vader", "self,tcp"])
  func everyRankGetsWhatWasSent(ranks: Int, transport: String) throws {
    guard Self.isThere else { return }
    let result = run(ranks, "check", by: transport)
    #expect(result.status == 0, "\(result.output)\(result.errors)")
    for rank in 0..<ranks {
      #expect(
        result.output.contains(
          "rank \(rank): verified, 33 transfers with the next rank, 8602358 bytes\n"))
    }
  }

  @Test func differingProgramsAreToldApart() throws {
    guard Self.isThere else { return }
    let result = run(2, "diverge")
    #expect(result.status == 54 || result.status == 52 || result.status == 0)
    for rank in 0..<2 {
      let line =
        "rank \(rank): error 212 DIVERGED: the programs of rank 0 and rank 1 differ from submission 2345 on: "
      #expect(result.output.contains(line), "\(result.output)\(result.errors)")
    }
    #expect(!result.errors.contains("MPI_ABORT"), "they leave together: \(result.errors)")
  }

  /// One has sent what nobody receives.
  @Test func ranksLeaveTogetherAfterAnError() throws {
    guard Self.isThere else { return }
    let result = run(3, "fail")
    #expect(result.status == 0 && result.errors.isEmpty, "\(result.output)\(result.errors)")
    for rank in 0..<3 { #expect(result.output.contains("rank \(rank): has met with error 9\n")) }
  }

  @Test func deathOfARankEndsTheOthers() throws {
    guard Self.isThere else { return }
    let result = run(2, "die")
    #expect(result.status != 0)
    #expect(result.errors.contains("MPI_ABORT") || result.errors.contains("Killed"))
  }

  /// Its link answers nothing, though its process is there.
  @Test func silentRankIsAnError() throws {
    guard Self.isThere else { return }
    let result = run(2, "silent", ["PTO2_PEER_TIMEOUT": "2"])
    #expect(
      result.output.contains("rank 0: error 214 PEER_SILENT: rank 1 ("),
      "\(result.output)\(result.errors)")
    #expect(result.output.contains(") was not heard of for 2.0 s (PTO2_PEER_TIMEOUT); transfer 0 "))
    #expect(result.status == 54)
  }

  @Test func linkThatIsToldToEndSaysSo() throws {
    guard Self.isThere else { return }
    let result = run(2, "term")
    #expect(result.status != 0)
    #expect(
      result.output.contains(
        "error 209 INTERRUPTED: pto2-link was told to end by SIGTERM: all ranks end"),
      "\(result.output)\(result.errors)")
  }

  /// What is wrong is on the link's page, for the orchestrator to report.
  @Test(arguments: [
    ("PTO2_LINK", "/nonesuch", "PTO2_LINK=/nonesuch: no such file that can be read"),
    ("PTO2_LINK", "/etc/passwd", "cannot load /etc/passwd: "),
    ("PTO2_PEER_TIMEOUT", "soon", "PTO2_PEER_TIMEOUT=soon: expected 0.1 to 86400 seconds"),
  ])
  func badSettingIsRefused(variable: String, value: String, text: String) throws {
    guard Self.isThere else { return }
    let result = run(2, "check", [variable: value])
    #expect(result.status == 1)
    #expect(
      result.errors.contains(": error 213 LINK_DIED: " + text),
      "\(result.errors)")
  }
}
