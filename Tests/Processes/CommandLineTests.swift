import Glibc
import Harness
import PTO2System
import Testing

/// Settings, usage, running by hand, and what the executables are made of.
@Suite(.serialized, .elsewhereToo) struct CommandLineTests {
  @Test(
    arguments: [
      ("PTO2_RING_TASK_WINDOW", "100", "a power of two"),
      ("PTO2_RING_TASK_WINDOW", "0", "a whole number above 0"),
      ("PTO2_RING_TASK_WINDOW", "", "a whole number above 0"),
      ("PTO2_RING_CONSUMED_WINDOW", "64", "16384 to"),
      ("PTO2_RING_HEAP", "4Q", "a whole number above 0"),
      ("PTO2_RING_HEAP", "100", "a multiple of 64"),
      ("PTO2_RING_DEP_POOL", "1,2", "one value, or 4"),
      ("PTO2_RING_DEP_POOL", "-4", "a whole number above 0"),
      ("PTO2_TENSOR_MAP_ENTRIES", "0", "1 to 1073741824"),
      ("PTO2_TENSOR_MAP_ENTRIES", "2G", "1 to 1073741824"),
    ])
  func invalidVariableIsNamed(variable: String, value: String, range: String) {
    let result = Command.run("vector-example", ["-q"], environment: [variable: value])
    #expect(result.status == 64)
    #expect(result.errors.contains(variable))
    #expect(result.errors.contains(value))
    #expect(result.errors.contains(range), "\(result.errors)")
  }

  @Test func startUpLineShowsTheValuesThatAreUsed() {
    let result = Command.run(
      "vector-example", ["--elements", "100", "--task-window", "32", "--lanes", "3"],
      environment: [
        "PTO2_RING_TASK_WINDOW": "64", "PTO2_RING_HEAP": "1M,2M,3M,4M",
        "PTO2_TENSOR_MAP_ENTRIES": "64K",
      ])
    #expect(result.status == 0)
    let line = result.messages.first ?? ""
    #expect(line.contains("task window 32,"), "flags come before the environment")
    #expect(line.contains("consumed window 128,"), "4 x the window that is used")
    #expect(line.contains("heap 1 MiB,2 MiB,3 MiB,4 MiB"))
    #expect(line.contains("3 lane(s)"))
    #expect(line.contains("TensorMap 65536"))
  }

  @Test(arguments: [
    "pto2-orchestrator", "pto2-scheduler", "pto2-worker", "pto2", "paged-attention",
  ])
  func helpHasExamples(name: String) {
    let help = Command.run(name, ["--help"])
    #expect(help.status == 0)
    #expect(help.output.contains("  \(name) "))
    let wrong = Command.run(name, ["--no-such-flag"])
    #expect(wrong.status == 64)
  }

  @Test func attachingToNothingIsReported() {
    let scheduler = Command.run(
      "pto2-scheduler", ["--segment", "pto2-none", "--attach-timeout", "0"])
    #expect(scheduler.status == 73)
    #expect(scheduler.errors.contains("no segment \"pto2-none\""))
    let worker = Command.run(
      "pto2-worker", ["--segment", "a/b", "--core", "aic0", "--attach-timeout", "0"])
    #expect(worker.status == 73)
    #expect(worker.errors.contains("\"a/b\" is not valid"))
    let core = Command.run("pto2-worker", ["--segment", "x", "--cores", "aic0,gpu1"])
    #expect(core.status == 64)
  }

  @Test func workersArePinnedToTheCPUsOfAList() throws {
    let allowed = CPUSet.allowed()
    let first = try #require(allowed.first(outside: CPUSet()))
    let command = Command(
      "pto2-orchestrator",
      [
        "--program", Command.buildDirectory + "libTestProgram.so", "--pin", "\(first)", "--segment",
        freshSegment("pin"), "--", "endless",
      ])
    try #require(command.waitUntil { command.output.contains("running") })
    // The program may run before every worker has come.
    let arePinned = command.waitUntil {
      let workers = processes(freshSegment("pin"), named: "pto2-worker")
      return workers.count == 3
        && workers.allSatisfy {
          readFile("/proc/\($0)/status").contains("Cpus_allowed_list:\t\(first)\n")
        }
    }
    #expect(arePinned)
    let own = readFile("/proc/\(command.pid)/status")
    #expect(own.contains("Cpus_allowed_list:\t\(allowed)\n"), "\(own)")
    command.signal(SIGINT)
    #expect(command.wait().status == 130)
  }

  @Test(arguments: ["1023", "x", "0-"])
  func cpusThatCannotBeUsedAreRefused(pin: String) {
    let result = Command.run(
      "pto2-orchestrator",
      ["--program", Command.buildDirectory + "libTestProgram.so", "--pin=\(pin)", "--", "chain"])
    #expect(result.status == 64)
    #expect(result.errors.contains("--pin=\(pin) is not valid: expected"), "\(result.errors)")
  }

  /// Three commands in three terminals.
  @Test func processesCanBeStartedByHand() {
    let segment = freshSegment("by-hand")
    let scheduler = Command("pto2-scheduler", ["--segment", segment])
    let worker = Command("pto2-worker", ["--segment", segment, "--cores", "aic0,aiv0,aiv1"])
    let result = Command.run(
      "paged-attention", ["--case", "small-b4", "--no-launch", "--segment", segment])
    #expect(result.status == 0, "\(result.errors)")
    #expect(scheduler.wait().status == 0)
    #expect(worker.wait().status == 0)
    #expect(Leftovers.of(segment) == .none)
  }

  /// Nobody starts it again but the user, whom the scheduler asks to.
  @Test(arguments: [true, false])
  func workerStartedByHandThatDiesCanBeStartedAgain(isStarted: Bool) throws {
    let segment = freshSegment("by-hand-kill-\(isStarted)")
    let cores = ["--segment", segment, "--cores", "aic0,aiv0,aiv1"]
    let orchestrator = Command(
      "pto2-orchestrator",
      [
        "--program", Command.buildDirectory + "libConformanceProgram.so", "-q", "--no-launch",
        "--segment", segment, "--attach-timeout", "3", "--", "pure", "5000",
      ])
    let scheduler = Command("pto2-scheduler", ["--segment", segment])
    let worker = Command("pto2-worker", cores)
    usleep(500_000)
    worker.signal(SIGKILL)
    #expect(worker.wait().status == 137, "not exercised: the run was over")
    try #require(
      scheduler.waitUntil { scheduler.errors.contains("(process \(worker.pid)) has died") })
    if isStarted {
      let second = Command("pto2-worker", cores)
      let result = orchestrator.wait()
      #expect(result.status == 0, "\(result.errors)")
      #expect(second.wait().status == 0)
      #expect(scheduler.wait().status == 0)
    } else {
      let result = orchestrator.wait()
      #expect(result.status == 43, "\(result.errors)")
      #expect(result.errors.contains("no worker announced core aic0, aiv0, aiv1 in time"))
      #expect(scheduler.wait().status == 43)
    }
    #expect(Leftovers.of(segment) == .none)
  }

  /// Another build of an image under the same path: the worker refuses it and
  /// says both identities.
  @Test func differentKernelImageIsRefused() throws {
    let directory = Command.temporaryDirectory()
    let path = directory + "/libTestKernels.so"
    var image = try #require(readBytes(Command.buildDirectory + "libTestKernels.so"))
    writeBytes(image, path)
    let segment = freshSegment("image-differs")
    let other = Command(
      "vector-example",
      ["-q", "--no-launch", "--attach-timeout", "2", "--segment", segment, "--image", path])
    try #require(other.waitUntil { Leftovers.of(segment).segments.count == 1 })
    let note = try #require(buildIDOffset(image))
    image[note] ^= 0xFF
    unlink(path)
    writeBytes(image, path)
    let worker = Command.run("pto2-worker", ["--segment", segment, "--core", "aiv0"])
    #expect(worker.status == 45)
    #expect(worker.errors.contains("differs from the orchestrator's"), "\(worker.errors)")
    #expect(worker.errors.ranges(of: "identity ").count == 2)
    _ = other.wait()
    #expect(Leftovers.of(segment) == .none)
    unlink(path)
    rmdir(directory)
  }

  /// No binary loads the full Foundation (FoundationEssentials comes with the
  /// argument parser); what is installed and run alone loads no Swift library at all.
  @Test(arguments: [
    "pto2-orchestrator", "pto2-scheduler", "pto2-worker", "pto2", "paged-attention",
  ])
  func fullFoundationIsNotLinked(name: String) {
    let result = Command.run("/usr/bin/ldd", [Command.buildDirectory + name])
    #expect(result.status == 0)
    let isStatic = getenv("PTO2_DYNAMIC_STDLIB") == nil && name != "paged-attention"
    #expect(result.output.contains("libswiftCore.so") != isStatic)
    #expect(!result.output.contains("libFoundation.so"))
    #expect(!result.output.contains("libFoundationInternationalization.so"))
  }
}

/// Where the 20 bytes of a GNU build id stand: after name size 4, description
/// size 20, type 3 and the name "GNU".
private func buildIDOffset(_ image: [UInt8]) -> Int? {
  let header: [UInt8] = [4, 0, 0, 0, 20, 0, 0, 0, 3, 0, 0, 0] + Array("GNU\0".utf8)
  return image.indices.first { $0 + 36 <= image.count && image[$0..<$0 + 16].elementsEqual(header) }
    .map { $0 + 16 }
}

func readBytes(_ path: String) -> [UInt8]? {
  guard let file = fopen(path, "r") else { return nil }
  defer { fclose(file) }
  var bytes: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 65536)
  while case let count = fread(&buffer, 1, buffer.count, file), count > 0 {
    bytes += buffer[..<count]
  }
  return bytes
}

func writeBytes(_ bytes: [UInt8], _ path: String) {
  let file = fopen(path, "w")!
  fwrite(bytes, 1, bytes.count, file)
  fclose(file)
}
