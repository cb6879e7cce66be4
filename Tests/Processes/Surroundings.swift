import Harness
import Testing

/// What pto2-surroundings makes of the place in which a process is started.
struct Surroundings: CustomTestStringConvertible, Sendable {
  let settings: [String]
  /// Expected of a run: its exit status, and what its one message says.
  var status: Int32 = 0
  var words: [String] = []
  /// Standard output is closed, or not to be read.
  var isSilent = false

  init(settings: [String]) { self.settings = settings }

  init(
    _ settings: String..., status: Int32 = 0, words: [String] = [], isSilent: Bool = false
  ) {
    self.settings = settings
    self.status = status
    self.words = words
    self.isSilent = isSilent
  }

  var testDescription: String { settings.joined(separator: " ") }

  /// False where they cannot be made: not by this user, or not in this container. Says so.
  var arePossible: Bool {
    let probe = Command("/bin/true", [], surroundings: settings).wait()
    if probe.status == 125 { print("skipped: \(probe.errors)", terminator: "") }
    return probe.status != 125
  }

  /// In which a run goes on as ever.
  static let bearable: [Surroundings] = [
    // What a parent leaves.
    Surroundings("close=0"), Surroundings("close=1", isSilent: true), Surroundings("close=2"),
    Surroundings("close=0,1,2", isSilent: true), Surroundings("stuck=2"), Surroundings("full=2"),
    Surroundings("far=2", "fsize=20000000000"),
    Surroundings("slow=1"), Surroundings("broken=2"), Surroundings("ignore=17"),
    Surroundings("ignore=1,2,3,15"), Surroundings("ignore=13"), Surroundings("block=all"),
    Surroundings("umask=777"), Surroundings("cwd=gone"), Surroundings("nice=5"),
    Surroundings("terminal=tostop"),
    // What an administrator or a container limits.
    Surroundings("nofile=16"), Surroundings("nofile=12"), Surroundings("nofile=10"),
    Surroundings("stack=262144"), Surroundings("memlock=0"), Surroundings("core=0"),
    Surroundings("cpus=1"), Surroundings("proc=none"), Surroundings("user=65534"),
    // What a seccomp profile refuses, by the numbers of x86-64: futex_waitv, pidfd_open,
    // pidfd_send_signal, process_vm_readv, sched_setaffinity, prctl, linkat, with EPERM
    // and ENOSYS.
    Surroundings("deny=1:449"), Surroundings("deny=1:434"), Surroundings("deny=38:434"),
    Surroundings("deny=1:424"), Surroundings("deny=1:449,434,424,310,203"),
    Surroundings("deny=38:449,434,424,310,203"), Surroundings("deny=1:157"),
    Surroundings("deny=1:265"),
    // Several at once.
    Surroundings("close=0,2", "ignore=1,2,17", "umask=777", "cpus=1", "deny=1:449,434"),
    Surroundings("close=0", "block=all", "nofile=12", "stack=262144", "proc=none"),
  ]

  /// In which it cannot, and says which limit it is.
  static let unbearable: [Surroundings] = [
    Surroundings("nofile=6", status: 73, words: ["ulimit -n 6"]),
    Surroundings("fsize=100000", status: 73, words: ["ulimit -f", "100000 bytes"]),
    Surroundings("as=900000000", status: 73, words: ["ulimit -v", "900000000 bytes"]),
    Surroundings("data=4000000", status: 73, words: ["ulimit -d 3906", "16777216"]),
    Surroundings("data=20000000", status: 73, words: ["ulimit -d 19531"]),
    Surroundings("user=65534", "nproc=3", status: 73, words: ["ulimit -u 3", "fewer clusters"]),
    Surroundings("shm=none", status: 73, words: ["Is there a /dev/shm?"]),
    Surroundings("shm=read-only", status: 73, words: ["Read-only file system"]),
    Surroundings("shm=1M", status: 48, words: ["/dev/shm is full", "bytes needed"]),
    Surroundings("far=1", "fsize=20000000000", status: 74, words: ["its report is lost"]),
    Surroundings("full=1", status: 74, words: ["its report is lost"]),
    Surroundings("broken=1", status: 74, words: ["its report is lost"]),
    Surroundings("broken=1", "ignore=13", status: 74, words: ["its report is lost"]),
  ]
}

/// What is run in them.
struct Scene: CustomTestStringConvertible, Sendable {
  let program: String
  let arguments: [String]
  var testDescription: String { ([program] + arguments).joined(separator: " ") }

  static let all: [Scene] = [
    Scene(program: "libRudeProgram.so", arguments: ["count"]),
    Scene(program: "libRudeProgram.so", arguments: ["run", "print", "six_megabytes", "count"]),
    Scene(program: "libRudeProgram.so", arguments: ["run", "again", "close_all", "count"]),
    Scene(program: "libConformanceProgram.so", arguments: ["pure", "300"]),
    Scene(program: "libConformanceProgram.so", arguments: ["alternate", "150"]),
  ]

  func command(_ segment: String, _ surroundings: Surroundings, options: [String] = [])
    -> Command
  {
    Command(
      "pto2-orchestrator",
      [
        "--program", Command.buildDirectory + program, "--quiet", "--json", "--segment", segment,
      ] + options + ["--"] + arguments, surroundings: surroundings.settings)
  }
}
