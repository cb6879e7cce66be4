internal import ArgumentParser
internal import PTO2Image
internal import PTO2System

private func kernel(_ text: String) throws -> CompatProgram.Kernel {
  if let kernel = CompatProgram.Kernel(text) { return kernel }
  throw ValidationError(
    "--kernel \(text): expected ID:aic:SOURCE or ID:aiv:SOURCE, as in 0:aiv:kernels/add.cpp")
}

struct Compile: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Compiles an orchestration and kernels written for simpler into a program.",
    discussion: """
      Makes libNAME.so, for pto2-orchestrator, and beside it libNAME_kernels.so, the image with \
      all kernels, with the C++ compiler that is there: --compiler, $CXX, clang++ or g++. The \
      sources stay as they are; docs/compat.md says what of them is taken, and how the program \
      is given its tensors. Kernels that include <pto/pto-inst.hpp> need -I with your copy of \
      the ISA library, whose simulation on a CPU is used.

      Exit status: 0, 64 for wrong usage, 65 when a source is refused, 66 when it is not there, \
      69 when no compiler is there or it does not serve, 74 when a file cannot be written, \
      128 + n after signal n.

      Examples:
        pto2 compile vector.cpp --kernel 0:aiv:add.cpp --output build
        pto2-orchestrator --program build/libvector.so -- \\
            in:float32:16384:=2 in:float32:16384:=3 out:float32:16384:f.bin
        pto2 compile bgemm.cpp --kernel 0:aic:gemm.cpp -I ./pto-isa/include
        CXX=g++-14 pto2 compile bgemm.cpp --kernel 0:aic:gemm.cpp --json
      """)

  @Argument(help: "The orchestration's source, C++17.", completion: .file(extensions: ["cpp"]))
  var orchestration: String

  @Option(
    name: .customLong("kernel"),
    help: ArgumentHelp(
      "A kernel: its func_id, core type aic or aiv, source, and folders of headers of its own.",
      valueName: "id:type:source[,folder...]"),
    transform: kernel(_:))
  var kernels: [CompatProgram.Kernel] = []

  @Option(
    name: [.customShort("I"), .long],
    help: ArgumentHelp("A folder of headers; of the ISA library, too.", valueName: "folder"),
    completion: .directory)
  var include: [String] = []

  @Option(
    name: .shortAndLong, help: ArgumentHelp("Where the two files go.", valueName: "folder"),
    completion: .directory)
  var output = "."

  @Option(help: "What they are called; otherwise as the orchestration's source.")
  var name: String?

  @Option(help: ArgumentHelp("The orchestration's function.", valueName: "function"))
  var entry = "aicpu_orchestration_entry"

  @Option(help: ArgumentHelp("The compiler.", valueName: "command")) var compiler: String?

  @Option(
    parsing: .unconditionalSingleValue,
    help: ArgumentHelp("A flag for the compiler, as in --flag=-O3.", valueName: "flag"))
  var flag: [String] = []

  @Option(help: ArgumentHelp("Compilers that run at a time, 1 to 64.", valueName: "n"))
  var jobs: Int?

  @Flag(help: "One JSON object: what was made, or why not.") var json = false

  func validate() throws {
    guard (1...64).contains(jobs ?? 1) else { throw ValidationError("--jobs: expected 1 to 64") }
    guard !kernels.isEmpty else {
      throw ValidationError("no kernel: --kernel 0:aiv:SOURCE names one")
    }
    var seen: Set<Int32> = []
    for kernel in kernels where !seen.insert(kernel.id).inserted {
      throw ValidationError("--kernel: two have the func_id \(kernel.id)")
    }
    if let name, name.isEmpty || name.contains("/") {
      throw ValidationError("--name: expected a name without a slash; --output says where")
    }
  }

  func run() throws {
    var program = CompatProgram(
      orchestration: orchestration, kernels: kernels, outputFolder: output.isEmpty ? "." : output)
    if let name { program.name = name }
    program.entry = entry
    program.includeFolders = include
    program.compiler = compiler
    program.flags = flag
    program.jobs = jobs ?? max(1, CPUSet.allowed().count)
    do {
      let result = try Compilation(program).run()
      try say(json ? made(program, result) : "\(program.programPath), \(program.imagePath)")
    } catch let failure as CompileFailure {
      throw try told(failure)
    } catch let error as SystemError {
      throw try told(.lostOutput(error.description))
    } catch let error as Interruption {
      throw ExitCode(128 + error.signal)
    }
  }

  private func made(_ program: CompatProgram, _ result: Compilation.Result) -> String {
    var object = JSONObject()
    object.add("program", resolvedPath(program.programPath) ?? program.programPath)
    object.add("image", resolvedPath(program.imagePath) ?? program.imagePath)
    object.add("compiler", result.compiler)
    if let isa = program.isaFolder { object.add("isa", isa) }
    object.add(
      "kernels",
      program.kernels.map {
        var kernel = JSONObject()
        kernel.add("id", $0.id)
        kernel.add("name", $0.name)
        kernel.add("core_type", $0.coreType)
        kernel.add("source", $0.source)
        return kernel
      })
    return object.text
  }

  private func told(_ failure: CompileFailure) throws -> ExitCode {
    if json {
      var object = JSONObject()
      object.add("error", failure.kind)
      object.add("message", failure.text)
      object.add("exit_status", failure.exitStatus)
      try say(object.text)
    }
    writeError("pto2: error: \(failure.text)")
    return ExitCode(failure.exitStatus)
  }
}
