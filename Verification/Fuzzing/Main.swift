import CFuzzer
import Glibc

/// pto2-fuzz TARGET [libFuzzer's options] [corpus directory]
/// pto2-fuzz TARGET --write-seeds DIRECTORY
@main enum Main {
  static var targets: [(name: String, type: any FuzzTarget.Type)] {
    [
      ("words", WordTarget.self), ("header", HeaderTarget.self), ("records", RecordTarget.self),
      ("image", ImageTarget.self), ("scheduler", SchedulerTarget.self),
      ("worker", WorkerTarget.self), ("orchestrator", OrchestratorTarget.self),
    ]
  }

  /// libFuzzer calls a function without a context.
  nonisolated(unsafe) static var target: (any FuzzTarget)!

  static func main() throws {
    let arguments = CommandLine.arguments
    guard arguments.count > 1, let chosen = targets.first(where: { $0.name == arguments[1] }) else {
      for target in targets { print(target.name) }
      exit(arguments.count > 1 && arguments[1] == "--list" ? 0 : 64)
    }
    if arguments.count == 4, arguments[2] == "--write-seeds" {
      return writeSeeds(chosen.type.seeds, to: arguments[3])
    }
    target = try chosen.type.init()
    // Without the target's name.
    var count = CommandLine.argc - 1
    let vector = CommandLine.unsafeArgv + 1
    vector[0] = CommandLine.unsafeArgv[0]
    var pointer: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = vector
    exit(
      LLVMFuzzerRunDriver(&count, &pointer) { data, size in
        var input = Input(UnsafeBufferPointer(start: data, count: size))
        do { try Main.target.run(&input) } catch { broken("the harness failed: \(error)") }
        return 0
      })
  }

  private static func writeSeeds(_ seeds: [[UInt8]], to directory: String) {
    for (index, seed) in seeds.enumerated() {
      guard let file = fopen("\(directory)/seed-\(index)", "w") else { return perror(directory) }
      fwrite(seed, 1, seed.count, file)
      fclose(file)
    }
  }
}
