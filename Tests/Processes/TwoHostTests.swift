import Glibc
import Harness
import PTO2System
import Testing

/// Options of unshare(1) with which there may be such namespaces.
private let options: [String]? = {
  guard Mpirun.isThere, Command("ip", ["-V"], isOnPath: true).wait().status == 0 else { return nil }
  let choices = [["--mount", "--net"], ["--user", "--map-root-user", "--mount", "--net"]]
  return choices.first(where: mayUnshare)
}()

/// Two network namespaces are two hosts: Tests/Fixtures/TwoHosts.
@Suite(
  .serialized,
  .enabled(if: options != nil, "no mpirun and libpto2-link-mpi.so, no ip, or no namespaces here"))
struct TwoHostTests {

  /// A program on so many ranks of each host.
  private func start(
    _ ranks: Int, _ program: String, _ arguments: [String],
    _ variables: [String: String] = [:]
  ) -> Command {
    Command(
      "/usr/bin/unshare",
      options! + [
        repositoryRoot + "Tests/Fixtures/TwoHosts/two-hosts", "\(ranks)",
        Command.buildDirectory + program,
      ] + arguments,
      environment: Mpirun.variables.merging(variables) { $1 })
  }

  @Test func resultsAreWhatTheInterpreterSays() {
    let segment = uniqueSegmentName()
    let hosts = start(
      2, "pto2-random", ["--seeds", "9001-9004", "--placed", "--quiet", "--segment", segment])
    let result = hosts.wait()
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.output.contains("4 seeds on 4 ranks"), "\(result.output)")
    for rank in 0..<4 { expectClean("\(segment).r\(rank)") }
  }

  /// A cable that is slow, and loses one packet in a hundred, changes no result.
  @Test func badCableChangesNoResult() {
    let segment = uniqueSegmentName()
    let hosts = start(
      1, "stencil",
      ["--quiet", "--rows", "64", "--columns", "96", "--steps", "10", "--segment", segment],
      ["NETEM": "delay 2ms loss 1%"])
    let result = hosts.wait()
    if result.status == 77 { return print("no netem in this kernel: a bad cable is not checked") }
    #expect(result.status == 0 && result.output.contains("verified"), "\(result.errors)")
    for rank in 0..<2 { expectClean("\(segment).r\(rank)") }
  }

  /// Both ends go within the time, and one says why. mpirun itself does not end without its
  /// other half, and is killed.
  @Test func cutCableEndsBothHosts() {
    let segment = uniqueSegmentName()
    let hosts = start(
      1, "pto2-random", ["--seeds", "1-100000", "--placed", "--quiet", "--segment", segment],
      ["PTO2_PEER_TIMEOUT": "2"])
    let names = ["\(segment).r0", "\(segment).r1"]
    let isRunning = hosts.waitUntil {
      names.allSatisfy { processes($0, named: "pto2-worker").count == 3 }
    }
    #expect(isRunning, "\(hosts.errors)")
    // In the middle of things.
    usleep(500_000)
    #expect(hosts.poll() == nil, "\(hosts.errors)")
    hosts.signal(SIGUSR1)
    // What was asked for, and no message of another error.
    let hasEnded = hosts.waitUntil {
      names.allSatisfy { Leftovers.of($0) == .none }
        && processes(segment, named: "pto2-random").isEmpty && hosts.errors.contains("error 214")
    }
    #expect(hasEnded, "\(names.map { Leftovers.of($0) }) \(hosts.errors)")
    #expect(
      hosts.errors.contains(
        "pto2-random: error 214 PEER_SILENT: rank 1 (beta) was not heard of for 2.0 s"),
      "\(hosts.errors)")
    #expect(hosts.errors.ranges(of: ": error ").count == 1, "\(hosts.errors)")
    hosts.signal(SIGTERM)
    let result = hosts.wait()
    #expect(result.status != 0)
    expectClean(segment)
  }
}
