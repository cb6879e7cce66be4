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
  /// What is different from pto2; empty for other systems, and for pto2 itself.
  private(set) var change = ""
  private var executable: String
  private var arguments: [String] = []
  private var isMPI = false

  static let all =
    [System(name: "pto2", executable: "taskbench-pto2")] + variants + [
      System(name: "mpi", executable: "taskbench-mpi", isMPI: true),
      System(name: "tbb", executable: "taskbench-tbb"),
      System(name: "openmp", executable: "taskbench-openmp"),
      System(name: "starpu", executable: "taskbench-starpu"),
    ]

  /// pto2 with one part switched off, or on.
  private static let variants = [
    variant("no-ahead", "no work ahead: no gates", ["--no-ahead"]),
    variant("lanes-4", "4 lanes a core instead of 64", ["--lanes", "4"]),
    variant("explicit", "producers by id: no views looked up", ["--explicit"]),
    variant("replay", "16 steps recorded and replayed", ["--replay", "16"]),
    variant("no-moves", "cores run where Linux leaves them", ["--no-moves"]),
    variant("pinned", "each core stays on a CPU", ["--pinned"]),
    variant("threads-2", "2 scheduler threads, so no work ahead", ["--threads", "2"]),
    variant("in-place", "outputs are external tensors, changed in place", ["--in-place"]),
    variant("snapshots", "the same, copied first for a second run", ["--snapshots"]),
    variant("trace", "each task is recorded", ["--trace", "/dev/null"]),
  ]

  private static func variant(_ name: String, _ change: String, _ arguments: [String]) -> System {
    System(
      name: "pto2-" + name, executable: "taskbench-pto2", change: change, arguments: arguments)
  }

  /// pto2, and what each of its parts that can be switched does to it.
  static var ablation: [System] { all.filter { $0.name == "pto2" || !$0.change.isEmpty } }

  /// Those that are run when nobody says which.
  static var usual: [System] { all.filter { !$0.name.hasPrefix("pto2-") && $0.isBuilt } }

  private init(
    name: String, executable: String, change: String = "", arguments: [String] = [],
    isMPI: Bool = false
  ) {
    self.name = name
    self.change = change
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
