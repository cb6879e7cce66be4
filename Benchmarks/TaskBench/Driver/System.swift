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
  private var place = Place.anyRanks
  /// One process a CPU, and they are the ranks.
  private var isMPI = false

  /// On how many ranks it runs.
  private enum Place { case one, several, anyRanks, oneBesideSeveral }

  static let all =
    [
      System(name: "pto2", executable: "taskbench-pto2"),
      System(
        name: "pto2-one-rank", executable: "taskbench-pto2",
        change: "one rank with the CPUs of all, without mpirun", place: .oneBesideSeveral),
    ] + variants + [
      System(name: "mpi", executable: "taskbench-mpi", isMPI: true),
      System(name: "tbb", executable: "taskbench-tbb", place: .one),
      System(name: "openmp", executable: "taskbench-openmp", place: .one),
      System(name: "starpu", executable: "taskbench-starpu", place: .one),
      System(name: "starpu-mpi", executable: "taskbench-starpu-mpi", place: .several),
    ]

  /// pto2 with one part switched off, or on.
  private static let variants = [
    variant("no-ahead", "no work ahead: no gates", ["--no-ahead"]),
    variant("lanes-4", "4 lanes a core instead of 64", ["--lanes", "4"]),
    variant("explicit", "producers by id: no views looked up", ["--explicit"]),
    variant("replay", "16 steps recorded and replayed", ["--replay", "16"]),
    variant("no-moves", "cores run where Linux leaves them", ["--no-moves"]),
    variant("pinned", "each core stays on a CPU", ["--pinned"]),
    variant("near", "each point's tasks have a hint, the same core", ["--near"]),
    variant("threads-2", "2 scheduler threads, so no work ahead", ["--threads", "2"]),
    variant("in-place", "outputs are external tensors, changed in place", ["--in-place"]),
    variant("snapshots", "the same, copied first for a second run", ["--snapshots"]),
    variant("trace", "each task is recorded", ["--trace", "/dev/null"]),
  ]

  private static func variant(_ name: String, _ change: String, _ arguments: [String]) -> System {
    let isOfOneRank = ["explicit", "replay"].contains(name)
    return System(
      name: "pto2-" + name, executable: "taskbench-pto2", change: change, arguments: arguments,
      place: isOfOneRank ? .one : .anyRanks)
  }

  /// pto2, and what each of its parts that can be switched does to it.
  static func ablation(ranks: Int) -> [System] {
    all.filter { ($0.name == "pto2" || !$0.change.isEmpty) && $0.runs(onRanks: ranks) }
  }

  /// Those that are run when nobody says which.
  static func usual(ranks: Int) -> [System] {
    all.filter {
      (!$0.name.hasPrefix("pto2-") || $0.place == .oneBesideSeveral) && $0.isBuilt
        && $0.runs(onRanks: ranks)
    }
  }

  func runs(onRanks ranks: Int) -> Bool { place == .anyRanks || (place == .one) == (ranks == 1) }

  private init(
    name: String, executable: String, change: String = "", arguments: [String] = [],
    place: Place = .anyRanks, isMPI: Bool = false
  ) {
    self.name = name
    self.change = change
    self.executable = executable
    self.arguments = arguments
    self.place = place
    self.isMPI = isMPI
  }

  init?(_ name: String) {
    guard let known = Self.all.first(where: { $0.name == name }) else { return nil }
    self = known
  }

  var isBuilt: Bool { isAccessible(Command.buildDirectory + executable, execute: true) }

  /// Starts the program for one graph; the kernel places what it starts, but that all
  /// processes of a rank of several share its CPUs.
  func start(_ options: [String], _ plan: Plan) -> Command {
    let path = Command.buildDirectory + executable
    let options = arguments + options
    if plan.ranks == 1 || place == .oneBesideSeveral {
      let words = options + ["--workers", "\(plan.workers)"]
      guard isMPI else { return Command(path, words) }
      return Command(
        "mpirun", ["-n", "\(plan.workers)", path] + options, environment: Self.variables,
        isOnPath: true)
    }
    let share = plan.workers / plan.ranks
    var words: [String] = []
    for rank in 0..<plan.ranks {
      words += words.isEmpty ? [] : [":"]
      words += ["-n", "\(isMPI ? share : 1)", "taskset", "-c", plan.cpus(of: rank), path]
      words += options + ["--workers", "\(share)"]
    }
    return Command(
      "mpirun", words,
      environment: Self.variables.merging(["STARPU_NCPU": "\(share)"]) { $1 }, isOnPath: true)
  }

  /// More processes than CPUs, as root if need be, no messages where ptrace is barred; a
  /// thread of StarPU's for MPI that stays with the rank's CPUs.
  private static let variables = [
    "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_rmaps_base_oversubscribe": "1", "OMPI_MCA_hwloc_base_binding_policy": "none",
    "OMPI_MCA_mpi_yield_when_idle": "1", "OMPI_MCA_btl_vader_single_copy_mechanism": "none",
    "STARPU_MPI_NOBIND": "1",
  ]
}
