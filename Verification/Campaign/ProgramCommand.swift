import PTO2
import PTO2CommandLine

/// One session's orchestrator: what the campaign starts and kills.
struct ProgramCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "program", abstract: "Runs one graph and compares its results.",
    shouldDisplay: false)

  @Option var shape: GraphShape
  @Option var tasks: Int
  @Option var elements: Int = 8
  @Option var spin: Int = 50
  @Option var width: Int = 4
  @Flag var sabotage = false
  @OptionGroup var runtime: RuntimeOptions

  func run() throws {
    try runtime.run("campaign", images: ["TestKernels"]) { graph in
      try GraphRun(
        graph,
        GraphSize(tasks: tasks, elements: elements, spinMicroseconds: spin, width: width),
        isSabotaged: sabotage
      ).run(shape)
    }
  }
}
