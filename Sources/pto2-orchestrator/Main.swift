internal import PTO2CommandLine
internal import PTO2Segment

@main
struct OrchestratorCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pto2-orchestrator",
    abstract: "Runs a program's task graph across scheduler and worker processes.",
    discussion: """
      The program is a shared object that exports pto2_program_main (see pto2_program.h). \
      A Swift program can also be an executable that imports PTO2; it then has this same \
      command line by itself.

        pto2-orchestrator --program ./libVectorProgram.so
        pto2-orchestrator --program ./prog.so --image ./kernels.so --clusters 2 -- 1024 7
        PTO2_RING_TASK_WINDOW=64 pto2-orchestrator --program ./prog.so --json

      Exit status: 0 success; 1 the program failed; 11 to 31 graph errors; 40 to 49 process \
      faults; 64 wrong usage; 73 no segment; 75 a fault of --faults never fired; 80 to 119 a \
      code of the program's own; 130 and 143 after SIGINT and SIGTERM. docs/operations.md \
      lists all.
      """,
    version: versionText("pto2-orchestrator"))

  @Option(help: ArgumentHelp("Shared object of the program.", valueName: "path"))
  var program: String

  @OptionGroup var runtime: RuntimeOptions

  @Argument(help: "Arguments of the program, after --.")
  var arguments: [String] = []

  func run() throws {
    try runSharedObject(program, arguments: arguments, options: runtime)
  }
}
