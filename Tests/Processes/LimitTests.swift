import Harness
import Testing

/// Every limit of docs/programs.md: what is just within it works, what is beyond
/// is the error that the table there names, in one message.
@Suite(.serialized, .elsewhereToo) struct LimitTests {
  private func run(
    _ arguments: [String], environment: [String: String] = [:]
  ) -> Command.Result {
    Command.run("pto2-api-test", arguments + ["--quiet"], environment: environment)
  }

  @Test func whatIsWithinTheLimitsWorks() {
    let result = run(["atTheLimits"])
    #expect(result.status == 0, "\(result.errors)")
  }

  @Test(
    arguments: [
      ("tensors", 15, "a task can have 32 tensors at most"),
      ("scalars", 15, "a task can have 16 scalars at most"),
      ("rank", 15, "expected 0 to 5 extents, none negative"),
      ("reshapedRank", 15, "cannot reshape [8]"),
      ("elements", 15, "fewer than 2^32 elements"),
      ("outputElements", 15, "fewer than 2^32 elements"),
      ("extent", 15, "expected 0 to 5 extents, none negative"),
      ("scopes", 15, "scopes are nested 64 deep at most"),
      ("scopeEnd", 15, "scope end without a scope begin"),
      ("blocks", 15, "1048577 blocks: expected 1 to 1048576"),
      ("noBlocks", 15, "0 blocks: expected 1 to 1048576"),
      ("predicateIndex", 15, "reaches beyond [8]"),
      ("predicateType", 15, "compare integers with Int"),
      ("dependency", 15, "which was not submitted in this run"),
      ("producers", 14, "the task has 5 producers, the dependency pool of ring 0 has 4"),
      ("outputBytes", 12, "the task's outputs need 4160 bytes, the heap of ring 0 has 4096"),
      ("scopeBytes", 12, "belongs to a scope that is open"),
      ("arena", 48, "the arena has"),
    ])
  func whatIsBeyondIsItsError(limit: String, status: Int, message: String) {
    let result = run([
      "beyond", "--limit", limit, "--dep-pool", "4", "--heap", "4096", "--arena", "64K",
    ])
    #expect(Int(result.status) == status, "\(result.errors)")
    #expect(result.messages.count == 1, "\(result.errors)")
    #expect(result.errors.contains(message), "\(result.errors)")
  }

  @Test(
    arguments: [
      ("tensors", "a task can have 32 tensors at most"),
      ("scalars", "a task can have 16 scalars at most"),
      ("blocks", "1048577 blocks"),
      ("near", "near cluster 2: expected 0 to 0, of which there are in this session"),
      ("null-arguments", "1 pto2_arguments at NULL"),
      ("no-size", "begins with 0 instead of its size"),
      ("short", "begins with 104 instead of its size"),
      ("argument-size", "pto2_argument 1 of an array has another size than the first one"),
      ("newer", "byte 136 of a pto2_submission is not 0, of which this runtime knows 136"),
      ("machine-size", "a pto2_machine begins with 4 instead of its size"),
      ("two-kernels", "kernel \"t_empty\" is given by name and by handle"),
      ("kernel-handle", "a kernel handle was not filled by this session's API"),
      ("null-kernel", "a kernel's name is NULL"),
      ("no-kernel", "no kernel \"t_none\" in the images of this run"),
      ("access", "access 7 is not valid"),
      ("comparison", "comparison 6: expected 0 to 5"),
      ("output-rank", "rank 6, expected 0 to 5"),
      ("rank", "rank 6: expected 0 to 5"),
      ("broadcast-rank", "rank 6: expected 0 to 5"),
      ("dtype", "data type 14: expected 0 to 13"),
      ("steps", "reaches beyond [8]"),
      ("null-steps", "steps of rank 1: the list is NULL"),
      ("dimension", "cannot transpose dimensions 0 and 1"),
      ("null-element", "the element is NULL"),
      ("null-index", "the index of rank 1: the list is NULL"),
      ("index", "reaches beyond [8]"),
      ("handle", "a tensor handle was not filled by this API"),
    ])
  func whatAProgramInCPassesIsChecked(limit: String, message: String) {
    let result = Command.run(
      "pto2-orchestrator",
      [
        "--program", Command.buildDirectory + "libTestProgram.so", "--quiet", "--", "beyond", limit,
      ])
    #expect(result.status == 15, "\(result.errors)")
    #expect(result.errors.contains(message), "\(result.errors)")
  }

  @Test func kernelsAndTheirNames() {
    func many(_ count: String, nameBytes: String = "2", scene: String = "manyKernels")
      -> Command.Result
    {
      run(
        [scene, "--image", "OddKernels"],
        environment: ["TEST_KERNEL_COUNT": count, "TEST_KERNEL_NAME_BYTES": nameBytes])
    }
    let most = many("4096")
    #expect(most.status == 0, "\(most.errors)")
    let name = many("1", nameBytes: "47", scene: "allocate")
    #expect(name.status == 0, "\(name.errors)")

    let inOne = many("4097")
    #expect(inOne.status == 45)
    #expect(inOne.errors.contains("4097 kernels, expected 1 to 4096"), "\(inOne.errors)")
    let inTwo = many("4090", scene: "allocate")
    #expect(inTwo.status == 45)
    #expect(inTwo.errors.contains("4096"), "\(inTwo.errors)")
    for (table, status) in [("old-args", 0), ("new-args", 45)] {
      let result = run(
        ["manyKernels", "--image", "OddKernels"],
        environment: ["TEST_KERNEL_COUNT": "4096", "TEST_KERNEL_TABLE": table])
      #expect(Int(result.status) == status, "\(result.errors)")
      if status != 0 { #expect(result.errors.contains("its pto2_kernel_args has 80 bytes")) }
    }
    let longName = many("1", nameBytes: "48", scene: "allocate")
    #expect(longName.status == 45)
    #expect(longName.errors.contains("has 48 bytes, expected 1 to 47"), "\(longName.errors)")
  }

  @Test func images() {
    func images(_ count: Int) -> Command.Result {
      run(["allocate"] + (0..<count).flatMap { _ in ["--image", "OddKernels"] })
    }
    let most = images(15)
    #expect(most.status == 0, "\(most.errors)")
    let result = images(16)
    #expect(result.status == 45)
    #expect(result.errors.contains("17") && result.errors.contains("16"), "\(result.errors)")
  }
}
