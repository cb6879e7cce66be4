import Glibc
import Harness
import PTO2
import PTO2System
import Testing

/// One session, many runs: in this process, as a program that links the library.
@Suite(.serialized) struct SessionTests {
  private func session(
    _ label: String, _ change: (inout Configuration) -> Void = { _ in }
  ) throws -> Session {
    var configuration = Configuration()
    configuration.segment = .named(freshSegment(label))
    configuration.directories.executables = Command.buildDirectory
    configuration.directories.images = [Command.buildDirectory]
    change(&configuration)
    return try Session(configuration, images: ["TestKernels"])
  }

  /// Adds up to 10 in a chain of ten tasks.
  private func count(_ session: Session, location: SourceLocation = #_sourceLocation) throws {
    var found: Int64 = 0
    let report = try session.run { graph in
      let add = try graph.kernel("t_add")
      let x = try graph.externalTensor(of: Int64.self, [1])
      #expect(try graph.array(x) == [0], "external memory is zero", sourceLocation: location)
      for _ in 0..<10 {
        try graph.submit(aiv: add) { task in
          task.inout(x)
          task.scalar(1)
          task.scalar(0)
        }
      }
      found = try graph.element(of: x, at: [0])
    }
    #expect(found == 10, sourceLocation: location)
    #expect(report.tasks == 10 && report.kernels == 10, sourceLocation: location)
    #expect(report.rings.reduce(0) { $0 + $1.consumed } == 10, sourceLocation: location)
  }

  /// Workers, and the scheduler, once all of them have attached.
  private func processes(_ session: Session) -> Set<pid_t> {
    let wanted = session.configuration.coreCount + 1
    let deadline = Deadline(afterMilliseconds: UInt64(Command.watchdogSeconds) * 1000)
    while processIDs(of: session.name).count != wanted && !deadline.hasPassed { usleep(1000) }
    return Set(processIDs(of: session.name))
  }

  private func error(of session: Session, _ program: (Graph) throws -> Void) -> PTO2Error? {
    do throws(PTO2Error) {
      try session.run(program)
      return nil
    } catch { return error }
  }

  private func expectEnd(_ session: Session, location: SourceLocation = #_sourceLocation) {
    let name = session.name
    session.close()
    #expect(Leftovers.of(name) == .none, sourceLocation: location)
    #expect(ownChildren().isEmpty, sourceLocation: location)
  }

  /// Processes that a session of this process has started: not those of other tests.
  private func ownChildren() -> [pid_t] {
    children(of: getpid()).filter {
      readFile("/proc/\($0)/cmdline").split(separator: "\0")
        .contains { $0 == "\(getpid())" }
    }
  }

  @Test func runsFollowEachOtherOnTheSameProcesses() throws {
    let session = try session("runs")
    try count(session)
    let first = processes(session)
    #expect(first.count == 4 && Set(ownChildren()) == first)
    for _ in 0..<20 { try count(session) }
    #expect(processes(session) == first)
    #expect(session.lastReport?.workerRestarts == 0)
    expectEnd(session)
  }

  /// A mistake of the program, its own error, `fail`: the next run knows nothing of it.
  @Test func errorOfOneRunDoesNotSpoilTheNext() throws {
    struct Own: Error, Equatable { var number: Int }
    let session = try session("spoilt")
    try count(session)
    let before = processes(session)
    let wrong = error(of: session) { graph in
      let add = try graph.kernel("t_add")
      let x = try graph.externalTensor(of: Int64.self, [1])
      try graph.beginScope()
      for _ in 0..<5 {
        try graph.submit(aiv: add) { task in
          task.inout(x)
          task.scalar(1)
          task.scalar(20_000)
        }
      }
      try graph.submit(aiv: add) { task in for _ in 0..<17 { task.scalar(0) } }
    }
    #expect(wrong?.code == .invalidArgs && wrong?.underlying == nil)
    #expect(session.lastReport?.tasks == 5)
    try count(session)
    let own = error(of: session) { graph in
      try graph.scope { throw Own(number: 7) }
    }
    #expect(own?.code == .explicitOrchFatal)
    #expect(own?.underlying as? Own == Own(number: 7))
    try count(session)
    let failed = error(of: session) { try $0.fail("as the test asked") }
    #expect(failed?.code == .explicitOrchFatal && failed?.message == "as the test asked")
    try count(session)
    let coded = error(of: session) { try $0.fail("with a code", code: 1039) }
    #expect(coded?.programCode == 1039 && coded?.exitStatus == 119)
    #expect(coded?.code == .explicitOrchFatal && coded?.message == "with a code")
    let strange = error(of: session) { try $0.fail("with a code", code: 1040) }
    #expect(strange?.code == .invalidArgs && strange?.programCode == nil)
    try count(session)
    #expect(processes(session) == before)
    expectEnd(session)
  }

  @Test func programLogsToItsSession() throws {
    let session = try session("log")
    var lines: [String] = []
    session.logHandler = { lines.append("\($0): \($1)") }
    try session.run { graph in
      graph.log(.debug, "begins")
      graph.log(.error, "ends")
    }
    #expect(lines == ["debug: begins", "error: ends"])
    session.logHandler = nil
    try session.run { $0.log(.error, "to nobody") }
    #expect(lines.count == 2)
    expectEnd(session)
  }

  /// A task that waits for who made its tensor, and for nobody else.
  @Test func unorderedTaskCanWaitForTheCreator() throws {
    let session = try session("creator")
    for _ in 0..<5 {
      var found: Int64 = 0
      try session.run { graph in
        let (mix, copy) = (try graph.kernel("c_mix"), try graph.kernel("t_copy"))
        let zero = try graph.externalTensor(of: Int64.self, [1])
        let result = try graph.externalTensor(of: Int64.self, [1])
        let made = try graph.submit(aiv: mix) { task in
          task.input(zero)
          task.input(zero)
          let made = task.output(of: Int64.self, [1])
          task.scalar(bits: 3000 << 32 | 41)
          return made
        }
        try graph.submit(aiv: copy) { task in
          task.unordered(made, afterCreator: true)
          task.overwrite(result)
          task.scalar(0)
          task.scalar(0)
        }
        found = try graph.array(result)[0]
      }
      #expect(found == 41)
    }
    expectEnd(session)
  }

  /// A kernel that crashes and must not be run again: error 200 of this run alone.
  @Test func failedTaskDoesNotSpoilTheNextRun() throws {
    let session = try session("crash")
    try count(session)
    let before = processes(session)
    for _ in 0..<3 {
      let error = error(of: session) { graph in
        let crash = try graph.kernel("t_crash")
        try graph.submit(aiv: crash) { task in
          task.scalar(Int(SIGSEGV))
          task.recovery = .once
        }
      }
      #expect(error?.code == .workerDied)
      #expect(error?.message.contains("kernel t_crash") == true, "\(error?.message ?? "")")
      try count(session)
    }
    // The scheduler and two workers at least are the same.
    #expect(processes(session).intersection(before).count >= 2)
    expectEnd(session)
  }

  /// Error 101 ends the session's processes; the next run has new ones.
  @Test func fatalErrorIsFollowedByNewProcesses() throws {
    let session = try session("fatal") {
      $0.addressSpaceBytes = 64 * 24
      $0.rings = [Configuration.Ring(taskWindow: 32, heapBytes: 4096, dependencyPool: 64)]
    }
    try count(session)
    let before = processes(session)
    let name = session.name
    let error = error(of: session) { graph in
      let empty = try graph.kernel("t_empty")
      for _ in 0..<40 { try graph.submit(aiv: empty) { _ in } }
    }
    #expect(error?.code == .encodingOverflow, "\(error.map { "\($0)" } ?? "no error")")
    try count(session)
    #expect(session.name == name)
    #expect(processes(session).isDisjoint(with: before))
    expectEnd(session)
  }

  /// Schedulers that keep crashing: error 201, and then new processes.
  @Test func crashingSchedulersEndOneRunOnly() throws {
    let session = try session("scheduler")
    try count(session)
    let name = session.name
    let error = error(of: session) { graph in
      let set = try graph.kernel("t_set")
      let x = try graph.externalTensor(of: Int64.self, [1])
      var killed: Set<pid_t> = []
      let deadline = Deadline(afterMilliseconds: 60_000)
      while !deadline.hasPassed {
        // Each of them once, however long it takes to die.
        let victim = processIDs(of: name).first {
          !killed.contains($0) && commandLine(of: $0).first?.hasSuffix("/pto2-scheduler") == true
        }
        if let victim {
          kill(victim, SIGABRT)
          killed.insert(victim)
        }
        usleep(5_000)
        try graph.submit(aiv: set) { task in
          task.overwrite(x)
          task.scalar(1)
          task.scalar(0)
        }
      }
      try graph.wait()
    }
    #expect(error?.code == .schedulerDied, "\(error.map { "\($0)" } ?? "no error")")
    try count(session)
    expectEnd(session)
  }

  /// Between and after runs: what is left of one is refused.
  @Test func whatIsLeftOfARunIsRefused() throws {
    let session = try session("stale")
    var old: (graph: Graph, tensor: Tensor<Int64>, task: TaskID)?
    try session.run { graph in
      let set = try graph.kernel("t_set")
      let x = try graph.externalTensor(of: Int64.self, [1])
      let id = try graph.submit(aiv: set) { task in
        task.overwrite(x)
        task.scalar(3)
        task.scalar(0)
        return task.id
      }
      old = (graph, x, id)
    }
    let (graph, tensor, task) = old!
    #expect(throws: PTO2Error.self) { try graph.submit { _ in } }
    let stale = error(of: session) { graph in try graph.submit { $0.input(tensor) } }
    #expect(stale?.code == .invalidArgs)
    let dependency = error(of: session) { graph in try graph.submit { $0.after(task) } }
    #expect(dependency?.code == .invalidArgs)
    let nested = error(of: session) { _ in try session.run { _ in } }
    #expect(nested?.code == .invalidArgs)
    try count(session)
    expectEnd(session)
    #expect(error(of: session) { _ in }?.code == .invalidArgs, "it is closed")
  }

  /// The library leaves the process as it was: signals, children. Its descriptors:
  /// Fixtures/Installed, a process of its own.
  @Test func processIsLeftAsItWas() throws {
    func signals() -> [String] {
      readFile("/proc/self/status").split(separator: "\n").map(String.init)
        .filter { $0.hasPrefix("Sig") && !$0.hasPrefix("SigQ") }
    }
    try count(try session("warm"))
    let before = signals()
    do {
      let session = try session("left")
      #expect(signals() == before)
      try count(session)
      _ = error(of: session) { try $0.fail("") }
      try count(session)
    }
    #expect(signals() == before)
    #expect(ownChildren().isEmpty)
  }

  @Test func configurationIsRefusedBeforeAnythingIsStarted() {
    func code(_ change: @escaping (inout Configuration) -> Void, images: [String] = [])
      -> PTO2Error?
    {
      do throws(PTO2Error) {
        var configuration = Configuration()
        configuration.directories.executables = Command.buildDirectory
        change(&configuration)
        _ = try Session(configuration, images: images)
        return nil
      } catch { return error }
    }
    #expect(code { $0.clusters = 41 }?.message.contains("1 to 40") == true)
    #expect(code { $0.segment = .named("a/b") }?.code == .invalidArgs)
    #expect(code({ _ in }, images: ["/no/such.so"])?.code == .imageRefused)
    #expect(ownChildren().isEmpty)
  }
}
