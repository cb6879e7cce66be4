internal import CTaskBench
internal import Glibc
internal import Harness
internal import PTO2System

/// How the tasks of a step depend on those of the step before.
struct Pattern {
  var name: String

  static let all = (0..<TASKBENCH_PATTERNS.rawValue).map { raw in
    Pattern(unchecked: unsafe String(cString: taskbench_pattern_name(taskbench_pattern(raw))))
  }

  init?(_ name: String) {
    guard Self.all.contains(where: { $0.name == name }) else { return nil }
    self.name = name
  }

  private init(unchecked name: String) { self.name = name }
}

/// One of the programs that run graphs.
struct System {
  var name: String
  private var executable: String
  private var arguments: [String] = []
  private var isMPI = false

  static let all = [
    System(name: "pto2", executable: "taskbench-pto2"),
    System(name: "pto2-explicit", executable: "taskbench-pto2", arguments: ["--explicit"]),
    System(name: "pto2-no-ahead", executable: "taskbench-pto2", arguments: ["--no-ahead"]),
    System(name: "pto2-no-moves", executable: "taskbench-pto2", arguments: ["--no-moves"]),
    System(name: "pto2-lanes-4", executable: "taskbench-pto2", arguments: ["--lanes", "4"]),
    System(name: "pto2-threads-2", executable: "taskbench-pto2", arguments: ["--threads", "2"]),
    System(name: "pto2-replay", executable: "taskbench-pto2", arguments: ["--replay", "16"]),
    System(name: "mpi", executable: "taskbench-mpi", isMPI: true),
    System(name: "tbb", executable: "taskbench-tbb"),
    System(name: "openmp", executable: "taskbench-openmp"),
    System(name: "starpu", executable: "taskbench-starpu"),
  ]

  /// Those that are run when nobody says which.
  static var usual: [System] { all.filter { !$0.name.hasPrefix("pto2-") && $0.isBuilt } }

  private init(
    name: String, executable: String, arguments: [String] = [], isMPI: Bool = false
  ) {
    self.name = name
    self.executable = executable
    self.arguments = arguments
    self.isMPI = isMPI
  }

  init?(_ name: String) {
    guard let known = Self.all.first(where: { $0.name == name }) else { return nil }
    self = known
  }

  var isBuilt: Bool { isAccessible(Command.buildDirectory + executable, execute: true) }

  /// Starts the program for one graph; the kernel places what it starts.
  func start(_ options: [String], workers: Int) -> Command {
    let path = Command.buildDirectory + executable
    let options = arguments + options
    guard isMPI else { return Command(path, options + ["--workers", "\(workers)"]) }
    return Command(
      "mpirun",
      ["--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-n", "\(workers)", path]
        + options, isOnPath: true)
  }
}
