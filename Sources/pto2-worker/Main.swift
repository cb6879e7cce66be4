internal import ArgumentParser
internal import Glibc
internal import PTO2Protocol
internal import PTO2RoleOptions
internal import PTO2Segment
internal import PTO2System
internal import PTO2Worker

@main
enum Main {
  static func main() {
    holdStandardDescriptors()
    prepareForKernels()
    limitThreadsOfLibraries()
    guard let launch = SupervisedLaunch(Array(CommandLine.arguments.dropFirst())),
      let core = launch.core.flatMap(coreIndex(named:))
    else { return WorkerCommand.main() }
    ignoreTerminalSignals()
    let follows = followParent(launch.parent)
    exit(
      hostCores(
        segment: launch.segment, cores: [core], isSupervised: true, followsParent: follows))
  }
}

/// Hosts cores until the end of the session.
/// - Returns: the exit status.
private func hostCores(
  segment: String, cores: [Int], isSupervised: Bool, followsParent: Bool = true,
  attachTimeoutSeconds: Double = 10
) -> Int32 {
  if let lack = lackOfMemory() {
    writeError("pto2-worker: error: \(lack)")
    return 73
  }
  // The orchestrator starts another one, which refuses the image.
  if !isSupervised {
    ObjectGuard.begin { text, exitStatus in
      // The session is over: destructors.
      if let exitStatus { _exit(exitStatus) }
      writeError("pto2-worker: error: \(text)")
      _exit(PTO2ErrorCode.imageRefused.exitStatus)
    }
  }
  do {
    let loop = try WorkerLoop(
      name: segment, cores: cores, isSupervised: isSupervised, followsParent: followsParent,
      attachTimeoutMilliseconds: UInt64(attachTimeoutSeconds * 1000))
    loop.run()
    return 0
  } catch {
    let isImage = if case .image = error { true } else { false }
    // The orchestrator reports these two.
    let isTruncated = if case .segment(.truncated) = error { true } else { false }
    if !isSupervised || !(isImage || isTruncated) { writeError("pto2-worker: error: \(error)") }
    return isImage ? 45 : 73
  }
}

struct WorkerCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pto2-worker",
    abstract: "A worker process of a pto2 session: hosts AICore cores and runs kernels.",
    discussion: """
      The orchestrator starts one worker per core by itself. To start workers by hand, run \
      the orchestrator with --no-launch --segment NAME and then, in another terminal, one of:

        pto2-worker --segment NAME --core aic0
        pto2-worker --segment NAME --cores aic0,aiv0,aiv1

      Cluster c has the cores aic<c>, aiv<2c> and aiv<2c+1>. A worker ends with its session.
      Exit status: 0 after a clean end, 45 for a kernel image that is missing or different, \
      64 for wrong usage, 73 when it cannot attach; docs/operations.md lists all.
      """,
    version: versionText("pto2-worker"))

  @OptionGroup var options: AttachOptions

  @Option(
    name: [.customLong("cores"), .customLong("core")],
    help: ArgumentHelp("Cores to host, separated by commas.", valueName: "cores"))
  var cores: String

  private func coreNumbers() throws -> [Int] {
    var numbers: [Int] = []
    for name in cores.split(separator: ",", omittingEmptySubsequences: false) {
      guard let number = coreIndex(named: String(name)), !numbers.contains(number) else {
        throw ValidationError(
          "--cores \(cores): expected different names like aic0 or aiv1, separated by commas")
      }
      numbers.append(number)
    }
    return numbers
  }

  func validate() throws {
    _ = try coreNumbers()
  }

  func run() throws {
    var follows = true
    if let parent = options.parent {
      ignoreTerminalSignals()
      follows = followParent(parent)
    }
    let status = hostCores(
      segment: options.segment, cores: try coreNumbers(), isSupervised: options.parent != nil,
      followsParent: follows, attachTimeoutSeconds: options.attachTimeout)
    if status != 0 { throw ExitCode(status) }
  }
}
