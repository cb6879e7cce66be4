import Glibc
import Harness
import Testing

/// Kernels and programs that take liberties: each end is named as what it was, at once, and
/// leaves nothing; what one kernel leaves behind, the next does not find.
@Suite(.serialized) struct LibertyTests {
  private func run(
    _ arguments: [String], segment: String, options: [String] = [],
    environment: [String: String] = [:]
  ) -> Command.Result {
    Command(
      "pto2-orchestrator",
      [
        "--program", Command.buildDirectory + "libRudeProgram.so", "--quiet", "--segment", segment,
      ] + options + ["--"] + arguments, environment: environment
    ).wait()
  }

  // MARK: Kernels

  /// MXCSR, the x87 control word and stack, the direction flag: as at the start of a process.
  @Test(arguments: ["flush", "round_up", "trap_fp", "short_x87", "full_x87", "backwards"])
  func floatingPointIsTheSameForEveryKernel(before: String) {
    let segment = freshSegment("floating-\(before)")
    let plain = run(["run", "look", "look"], segment: segment)
    let spoilt = run(["run", before, "look", before, "look"], segment: segment)
    func elements(_ result: Command.Result) -> Substring {
      result.output.split(separator: "\n").first { $0.hasPrefix("elements ") } ?? ""
    }
    #expect(plain.status == 0 && spoilt.status == 0, "\(spoilt.errors)")
    #expect(elements(plain).hasPrefix("elements 2 0 1 "), "denormals are kept: \(plain.output)")
    #expect(elements(plain) == elements(spoilt))
    expectClean(segment)
  }

  @Test func exceptionThatAKernelHasUnmaskedTrapsNobodyElse() {
    let segment = freshSegment("trap")
    let result = run(["run", "trap_fp", "divide", "count"], segment: segment)
    #expect(result.status == 0, "\(result.errors)")
    expectClean(segment)
  }

  @Test(
    arguments: [
      (["exit_0"], "exited with status 0 while running task 0:0, kernel exit_0"),
      (["exit_45"], "exited with status 45 while running task 0:0, kernel exit_45"),
      (["end_thread"], "by pthread_exit(3), which ends the core's thread"),
      (["run_false"], "exited with status 1 while running task 0:0, kernel run_false"),
      (["null_store"], "(SIGSEGV) while running task 0:0, kernel null_store"),
      (["thread_crash"], "(SIGSEGV) while running task 0:0, kernel thread_crash"),
      (["overflow"], "kernel overflow, by an overflow of its stack (8 MiB)"),
      (["block_all", "null_store"], "(SIGSEGV) while running task 0:1, kernel null_store"),
      (["default_segv", "null_store"], "(SIGSEGV) while running task 0:1, kernel null_store"),
      (["ask_for_trace", "null_store"], "(SIGSEGV) while running task 0:1, kernel null_store"),
      (["timer", "hang"], "(SIGALRM) while running task 0:1, kernel hang"),
    ])
  func endOfAKernelIsNamed(kernels: [String], words: String) {
    let segment = freshSegment("end-\(kernels.last!)")
    let result = run(["run"] + kernels, segment: segment)
    #expect(result.status == 40, "\(result.errors)")
    #expect(result.messages.count == 1, "\(result.errors)")
    #expect(result.errors.contains(words), "\(result.errors)")
    expectClean(segment)
  }

  /// A crash in a thread that the kernel has started counts as a crash: two of them.
  @Test(arguments: ["null_store", "thread_crash", "end_thread", "overflow"])
  func kernelThatCrashesItselfIsRunTwice(kernel: String) {
    let segment = freshSegment("twice-\(kernel)")
    let result = run(["run", "again", kernel], segment: segment)
    #expect(result.status == 40)
    #expect(result.errors.contains("; 2 workers died of it"), "\(result.errors)")
    expectClean(segment)
  }

  /// Working directory, umask, limits and descriptors of a worker are spoilt: kernels are run
  /// all the same, even one that starts a process.
  @Test func whatBelongsToTheProcessStopsNoKernel() {
    let segment = freshSegment("spoilt")
    let result = run(
      ["run", "leave_dir", "few_files", "close_all", "run_true", "count"], segment: segment)
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.output.contains("elements 2 "), "\(result.output)")
    expectClean(segment)
  }

  /// The same stack on every core, whatever the limit of the parent, started or by hand.
  @Test func stackIsTheSameOnEveryCore() {
    let segment = freshSegment("stack")
    let orchestrator = Command(
      "pto2-orchestrator",
      [
        "--program", Command.buildDirectory + "libRudeProgram.so", "-q", "--no-launch", "--segment",
        segment, "--", "run", "six_megabytes", "count",
      ])
    let scheduler = Command("pto2-scheduler", ["--segment", segment])
    // aic0 is not on the first thread.
    let worker = Command("pto2-worker", ["--segment", segment, "--cores", "aiv0,aic0,aiv1"])
    let result = orchestrator.wait()
    #expect(result.status == 0, "\(result.errors)")
    #expect(scheduler.wait().status == 0)
    #expect(worker.wait().status == 0)
    expectClean(segment)
  }

  /// The child of a kernel that forks is no second worker, and ends with the first.
  @Test(arguments: ["fork_on", "fork_sleep"])
  func childOfAKernelOwnsNothing(kernel: String) {
    let segment = freshSegment("child-\(kernel)")
    let result = run(
      ["run", kernel] + [String](repeating: "count", count: 200), segment: segment)
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.output.contains("elements 201 "), "\(result.output)")
    expectClean(segment)
  }

  /// PR_SET_PDEATHSIG is cleared, and the kernel does not return.
  @Test func kernelThatWouldOutliveItsSessionIsEnded() throws {
    let segment = freshSegment("outlive")
    let command = Command(
      "pto2-orchestrator",
      [
        "--program", Command.buildDirectory + "libRudeProgram.so", "--segment", segment, "--",
        "run", "outlive",
      ])
    try #require(
      command.waitUntil { command.errors.contains("has been running task") }, "not exercised")
    command.signal(SIGKILL)
    #expect(command.wait().status == 137)
    expectClean(segment)
  }

  /// The same where the scheduler, which would end it, is killed as well.
  @Test func kernelThatWouldOutliveEverybodyIsEnded() throws {
    let segment = freshSegment("outlive-all")
    let command = Command(
      "pto2-orchestrator",
      [
        "--program", Command.buildDirectory + "libRudeProgram.so", "--segment", segment, "--",
        "run", "outlive",
      ])
    try #require(
      command.waitUntil { command.errors.contains("has been running task") }, "not exercised")
    let schedulers = processes(segment, named: "pto2-scheduler")
    try #require(schedulers.count == 1)
    // Stopped first: it would start another scheduler.
    command.signal(SIGSTOP)
    kill(schedulers[0], SIGKILL)
    command.signal(SIGKILL)
    #expect(command.wait().status == 137)
    let deadline = time(nil) + Command.watchdogSeconds
    while !processes(segment, named: "pto2-worker").isEmpty && time(nil) < deadline {
      usleep(10_000)
    }
    expectClean(segment)
  }

  // MARK: Kernels that mean harm

  private func elements(_ result: Command.Result) -> [Substring] {
    let line = result.output.split(separator: "\n").first { $0.hasPrefix("elements ") }
    return line.map { $0.split(separator: " ").dropFirst().map { $0 } } ?? []
  }

  /// What is not the worker's own is mapped from a descriptor that cannot write, and no other
  /// descriptor is left.
  @Test func kernelCannotMakeForeignPagesWritable() {
    let segment = freshSegment("forge")
    let result = run(["run", "forge"], segment: segment)
    #expect(result.status == 0, "\(result.errors)")
    let found = elements(result)
    #expect(found.first == "1", "not exercised: \(result.output)")
    #expect(found.dropFirst().first == "\(EACCES)", "mprotect: \(result.output)")
    #expect(found.dropFirst(2).first == "0", "descriptors that can write: \(result.output)")
    expectClean(segment)
  }

  /// Nor open the name or its descriptor again, nor write another process's memory.
  @Test func confinedKernelCannotGetAtTheSession() {
    let segment = freshSegment("confined")
    let result = run(["run", "forge", "count"], segment: segment, options: ["--confine"])
    if result.errors.contains("needs Landlock") {
      #expect(result.status != 0)
    } else {
      #expect(result.status == 0, "\(result.errors)")
      // By name, process_vm_writev, /proc/PID/mem, ptrace, /proc/self/fd.
      #expect(elements(result) == ["2", "13", "0", "d", "1", "d", "1", "13"], "\(result.output)")
    }
    expectClean(segment)
  }

  @Test func confinementOfAMemfdIsRefused() {
    let result = Command.run(
      "pto2-orchestrator",
      ["--program", Command.buildDirectory + "libRudeProgram.so", "--memfd", "--confine", "-q"])
    #expect(result.status == 15, "\(result.errors)")
    #expect(result.errors.contains("leave out --memfd or --confine"), "\(result.errors)")
  }

  /// An image in C++, with the library that its compiler comes with.
  @Test(arguments: [
    ("fails", "std::runtime_error: no such row"), ("throws_int", "int"),
    ("own", "Mine: of my own"),
  ])
  func exceptionThatLeavesAKernelIsNamed(kernel: String, words: String) throws {
    let folder = Command.temporaryDirectory()
    defer { removeDirectory(folder) }
    let source = """
      #include "pto2_kernel.h"
      #include <stdexcept>
      struct Mine : std::exception {
        const char *what() const noexcept override { return "of my own"; }
      };
      static void fails(const pto2_kernel_args *) { throw std::runtime_error("no such row"); }
      static void throws_int(const pto2_kernel_args *) { throw 7; }
      static void own(const pto2_kernel_args *) { throw Mine(); }
      PTO2_KERNELS({"fails", fails, PTO2_AIC}, {"throws_int", throws_int, PTO2_AIC},
                   {"own", own, PTO2_AIC})
      """
    write(source, to: folder + "/throwing.cc")
    let options = [
      "-shared", "-fPIC", "-std=c++17", "-Wl,--build-id", "-I",
      repositoryRoot + "Sources/CPTO2/include", folder + "/throwing.cc", "-o",
      folder + "/throwing.so",
    ]
    let built = ["g++", "clang++"].contains {
      Command($0, options, isOnPath: true).wait().status == 0
    }
    try #require(built, "no compiler for C++")
    let segment = freshSegment("exception-\(kernel)")
    let result = run(
      ["run", kernel], segment: segment, options: ["--image", folder + "/throwing.so"])
    #expect(result.status == 40, "\(result.errors)")
    #expect(
      result.errors.contains("by the C++ exception \(words), which nothing caught"),
      "\(result.errors)")
    expectClean(segment)
  }

  // MARK: Programs

  @Test(
    arguments: [
      (["exit", "0"], 1, "ended with exit(0)"), (["exit", "0", "busy"], 1, "ended with exit(0)"),
      (["exit", "7", "busy"], 7, "ended with exit(7)"), (["quick-exit"], 1, "ended with exit(0)"),
      (["thread-exit"], 1, "ended with exit(0)"),
      (["end-thread"], 19, "the program ended the thread that runs it"),
      (["raise", "15"], 143, "interrupted by SIGTERM"),
      (["raise", "2"], 130, "interrupted by SIGINT"),
      (["raise", "14"], 142, "interrupted by SIGALRM"),
    ])
  func endOfAProgramIsNoSuccess(scene: [String], status: Int32, words: String) {
    let segment = freshSegment("program-\(scene.joined(separator: "-"))")
    let result = run(scene, segment: segment, options: ["--json"])
    #expect(result.status == status, "\(result.errors)")
    #expect(result.errors.contains(words), "\(result.errors)")
    #expect(number("exit_status", in: result.output) == Double(status), "\(result.output)")
    expectClean(segment)
  }

  /// Who notices first is chance: the supervisor, or the next reservation of memory.
  @Test(arguments: ["close-all", "dup-over", "close-late"])
  func programThatClosesOurDescriptorsEnds(scene: String) {
    let segment = freshSegment("descriptors-\(scene)")
    let result = run([scene], segment: segment)
    #expect([15, 48].contains(result.status), "\(result.errors)")
    #expect(result.errors.contains("has closed or replaced"), "\(result.errors)")
    expectClean(segment)
  }

  @Test func constructorThatEndsTheProcessIsNoSuccess() {
    let segment = freshSegment("constructor")
    let result = run(["count"], segment: segment, environment: ["ENDS_EARLY": "1"])
    #expect(result.status == 1, "\(result.errors)")
    #expect(result.errors.contains("was loaded"), "\(result.errors)")
    expectClean(segment)
  }

  /// How the worker ended the program may have been told, and nobody else.
  @Test func programThatCollectsEveryChildLosesNoDeath() {
    let segment = freshSegment("reap-children")
    let result = run(["reap-children"], segment: segment)
    #expect(result.status == 40, "\(result.errors)")
    #expect(result.errors.contains("kernel exit_45"), "\(result.errors)")
    expectClean(segment)
  }

  /// The constructor of the program's object lets denormals be flushed.
  @Test func constructorChangesNoArithmetic() {
    let segment = freshSegment("flushing")
    let result = run(["denormal"], segment: segment, environment: ["FLUSHES": "1"])
    #expect(result.status == 0, "\(result.errors)")
    expectClean(segment)
  }

  /// A destructor runs after the report.
  @Test func destructorThatTrapsLosesNoReport() {
    let segment = freshSegment("destructor")
    let result = run(
      ["count"], segment: segment, options: ["--json"], environment: ["TRAPS_LATE": "1"])
    #expect(result.status > 128, "\(result.errors)")
    #expect(number("kernels", in: result.output) == 200, "\(result.output)")
    expectClean(segment)
  }

  /// What goes on as ever.
  @Test(arguments: [
    ["ignore-children"], ["fork-read"], ["fork-exit"], ["take-files"],
  ])
  func libertyThatCostsNothing(scene: [String]) {
    let segment = freshSegment("liberty-\(scene[0])")
    let result = run(scene, segment: segment)
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.errors.isEmpty, "\(result.errors)")
    expectClean(segment)
  }

  @Test func childOfTheProgramHasNoPartInTheSession() {
    let segment = freshSegment("fork-on")
    let result = run(["fork-on"], segment: segment)
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.errors.contains("child: error 5 INVALID_ARGS"), "\(result.errors)")
    #expect(result.errors.contains("child ended with 1"), "\(result.errors)")
    expectClean(segment)
  }

  /// A child that lives on keeps no lock: the name is free when the run is over.
  @Test func childThatLivesOnKeepsNothing() {
    let segment = freshSegment("fork-leave")
    #expect(run(["fork-leave"], segment: segment).status == 0)
    #expect(!isNamed(segment))
    #expect(run(["count"], segment: segment).status == 0)
    expectClean(segment)
  }

  // MARK: Files

  /// A file that has less than its headers say is refused before anything is mapped.
  @Test(arguments: ["--program", "--image"], [0, 40, 5000, 8192])
  func objectThatIsCutOffIsRefused(option: String, bytes: Int) throws {
    let directory = Command.temporaryDirectory()
    let path = directory + "/libcut.so"
    let source = option == "--program" ? "libRudeProgram.so" : "libRudeKernels.so"
    let image = try #require(readBytes(Command.buildDirectory + source))
    writeBytes(Array(image.prefix(min(bytes, image.count / 2))), path)
    let program = option == "--program" ? path : Command.buildDirectory + "libTestProgram.so"
    let segment = freshSegment("cut-\(bytes)")
    let result = Command.run(
      "pto2-orchestrator",
      ["--program", program, "-q", "--segment", segment]
        + (option == "--image" ? ["--image", path] : []) + ["--", "chain"])
    #expect(result.status == (option == "--program" ? 64 : 45), "\(result.errors)")
    #expect(result.messages.count == 1, "\(result.errors)")
    #expect(result.errors.contains("cannot be loaded"), "\(result.errors)")
    expectClean(segment)
    unlink(path)
    rmdir(directory)
  }

  @Test(arguments: ["fifo", "directory"])
  func whatIsNoFileIsNotLoaded(kind: String) {
    let directory = Command.temporaryDirectory()
    let path = directory + "/object"
    #expect((kind == "fifo" ? mkfifo(path, 0o600) : mkdir(path, 0o700)) == 0)
    let result = Command.run("pto2-orchestrator", ["--program", path, "-q"])
    #expect(result.status == 64, "\(result.errors)")
    #expect(result.errors.contains("is no regular file"), "\(result.errors)")
    if kind == "fifo" { unlink(path) } else { rmdir(path) }
    rmdir(directory)
  }

  /// A table that is none, or whose pointers lead nowhere, is refused in the orchestrator.
  @Test(
    arguments: [
      ("magic", "wrong magic"), ("entries", "its entries lie nowhere"),
      ("name", "the name of entry 0 lies nowhere"),
      ("function", "kernel k0 is not in the image's code"),
    ])
  func tableThatLeadsNowhereIsRefused(spoilt: String, words: String) {
    let segment = freshSegment("table-\(spoilt)")
    let result = Command.run(
      "pto2-orchestrator",
      [
        "--program", Command.buildDirectory + "libTestProgram.so", "-q", "--segment", segment,
        "--image", Command.buildDirectory + "libOddKernels.so", "--", "chain",
      ], environment: ["TEST_KERNEL_TABLE": spoilt])
    #expect(result.status == 45, "\(result.errors)")
    #expect(result.messages.count == 1 && result.errors.contains(words), "\(result.errors)")
    expectClean(segment)
  }

  @Test func mainThatIsDataIsRefused() {
    let result = Command.run(
      "pto2-orchestrator", ["--program", Command.buildDirectory + "libOddKernels.so", "-q"])
    #expect(result.status == 64, "\(result.errors)")
    #expect(result.errors.contains("is no function"), "\(result.errors)")
  }

  // MARK: Numbers and names

  @Test(
    arguments: [
      ["--attach-timeout=0x10"], ["--attach-timeout=nan"], ["--stall-limit=inf"],
      ["--kernel-deadline=1e3"], ["--stop-grace=-0"], ["--clusters=+1"], ["--threads=0x1"],
      ["--lanes= 4"], ["--rings=1e0"], ["--segment=--help"], ["--segment=-x"], ["--segment=.x"],
      ["--pin=+0"], ["--arena=+4096"],
    ])
  func numberOrNameIsRefused(option: [String]) {
    let result = Command.run(
      "pto2-orchestrator",
      ["--program", Command.buildDirectory + "libTestProgram.so"] + option + ["--", "chain"])
    #expect(result.status == 64, "\(result.errors)")
    #expect(result.errors.contains("xpected"), "\(result.errors)")
  }
}
