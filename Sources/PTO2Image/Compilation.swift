internal import Glibc
internal import PTO2System

/// Makes a program and its image out of an orchestration and its kernels.
package final class Compilation {
  private let program: CompatProgram
  private let headers: CompatHeaders
  private let workshop: Workshop
  private let linker: String
  private let objectCopy: String

  /// What was made.
  package struct Result {
    package let compiler: String
    /// Compiler runs, without links.
    package let units: Int
  }

  package init(_ program: CompatProgram) throws {
    self.program = program
    for source in [program.orchestration] + program.kernels.map(\.source)
    where !isAccessible(source) {
      throw CompileFailure.noSource("\(source): no such source, or it cannot be read")
    }
    guard let headers = CompatHeaders() else {
      throw CompileFailure.noTool(
        "no pto_orchestration_api.h in include/pto2/compat beside \(executableDirectory()): install pto2 again"
      )
    }
    self.headers = headers
    linker = try Self.tool("LD", ["ld"], "the linker")
    objectCopy = try Self.tool("OBJCOPY", ["objcopy", "llvm-objcopy"], "objcopy")
    workshop = try Workshop(jobs: program.jobs)
  }

  private static func tool(_ variable: String, _ names: [String], _ what: String) throws -> String {
    if let chosen = environment(variable), !chosen.isEmpty {
      if let path = findTool(chosen) { return path }
      throw CompileFailure.noTool("\(variable)=\(chosen): no such command")
    }
    if let path = names.lazy.compactMap({ findTool($0) }).first { return path }
    throw CompileFailure.noTool(
      "\(what) (\(names.joined(separator: " or "))) is not on the PATH: apt-get install binutils, or set \(variable)"
    )
  }

  package func run() throws -> Result {
    let compiler = try chooseCompiler()
    var units: [String: Int] = [:]
    for kernel in program.kernels where units[kernel.unit] == nil {
      units[kernel.unit] = units.count
    }
    var commands = [try orchestrationCommand(compiler)]
    var sources = [program.orchestration]
    for kernel in program.kernels where sources.count == (units[kernel.unit] ?? 0) + 1 {
      commands.append(try kernelCommand(compiler, kernel, number: units[kernel.unit] ?? 0))
      sources.append(kernel.source)
    }
    commands.append(try hooksCommand(compiler))
    commands.append(try tableCommand(compiler, units))
    if let failed = try workshop.run(commands) {
      let index = commands.firstIndex(of: failed.command) ?? 0
      throw refusal(of: index < sources.count ? sources[index] : program.name, failed)
    }
    try refusePipes(units.count, sources)
    // Each kernel on its own: sources use the same names for different things.
    for number in 0..<units.count { try isolate(number) }
    try link(compiler, units.count)
    return Result(compiler: compiler.command, units: commands.count)
  }

  // MARK: The compiler

  private struct Compiler {
    let command: String
    /// Flags for kernels.
    var kernelFlags: [String]
  }

  private func chooseCompiler() throws -> Compiler {
    let chosen = program.compiler ?? environment("CXX").flatMap { $0.isEmpty ? nil : $0 }
    let names = chosen.map { [$0] } ?? ["clang++", "g++", "c++"]
    let found = names.filter { findTool($0) != nil }
    guard !found.isEmpty else {
      throw CompileFailure.noTool(
        chosen.map {
          "no compiler \($0): \(program.compiler == nil ? "$CXX" : "--compiler") says so"
        }
          ?? "no compiler for C++17: neither clang++ nor g++ is on the PATH. apt-get install g++, or set CXX"
      )
    }
    guard let isa = program.isaFolder else {
      return Compiler(command: found[0], kernelFlags: ["-std=gnu++17"])
    }
    var refusals = ""
    for name in found {
      let compiler = try isaCompiler(name, isa)
      let check = headers.compat + "/pto2_compat/isa_check.cpp"
      let command =
        [name] + compiler.kernelFlags + ["-D__DAV_VEC__", "-fsyntax-only", check]
      guard let failed = try workshop.run([command]) else { return compiler }
      refusals +=
        "\n\(name): "
        + (failed.output.contains("takes float16 for bfloat16")
          ? "it takes float16 for bfloat16, silently"
          : firstError(failed.output))
    }
    throw CompileFailure.refusedCompiler(
      "no compiler here serves the ISA library in \(isa), whose bfloat16_t must be a bfloat16: clang++ 17 or later, or g++ 13 or later (CXX, --compiler)\(refusals)"
    )
  }

  /// The flags of the ISA library's simulation on a CPU.
  private func isaCompiler(_ name: String, _ isa: String) throws -> Compiler {
    let asked = [name, "--version"]
    let version = try ToolRun.words(of: asked, in: workshop)
    var flags = [
      "-std=c++23", "-fpermissive", "-DPTO_CPU_MAX_THREADS=1", "-DNDEBUG", "-I" + isa,
      "-I\(isa)/pto",
    ]
    if version.contains("clang") {
      flags += ["-D__STDCPP_BFLOAT16_T__=1", "-I\(headers.compat)/stdfloat", "-w"]
    } else {
      flags += ["-w"]
    }
    return Compiler(command: name, kernelFlags: flags + ["-D__CPU_SIM"])
  }

  private func firstError(_ output: String) -> String {
    let lines = output.split(separator: "\n")
    return String(lines.first { $0.contains("error:") } ?? lines.first ?? "it fails")
  }

  private func refusal(of source: String, _ tool: ToolRun) -> CompileFailure {
    let words = tool.output
    // The headers' own words, whatever a compiler puts before them.
    for line in words.split(separator: "\n") where line.contains("not in pto2") {
      let parts = line.split(separator: ": ")
      if let part = parts.last(where: { $0.contains("not in pto2") }) {
        let text = part.drop { $0 != "\"" }.dropFirst()
        return .unsupported(source: source, what: String(text.isEmpty ? part : text))
      }
    }
    var hint = ""
    if words.contains("pto/pto-inst.hpp"), program.isaFolder == nil {
      hint = "  the kernel uses the ISA library: say with -I where its include folder is\n"
    }
    return .refusedSource(source: source, output: words + hint, command: tool.command)
  }

  // MARK: Sources that include the user's

  private var common: [String] {
    ["-O2", "-fPIC", "-fvisibility=hidden", "-ffile-prefix-map=\(workshop.folder)=."]
      + ["-I" + headers.include, "-I" + headers.compat]
  }

  private var own: [String] {
    program.includeFolders.map { "-I" + $0 } + program.flags
  }

  private func absolute(_ path: String) -> String { resolvedPath(path) ?? path }

  private func orchestrationCommand(_ compiler: Compiler) throws -> [String] {
    let list = program.kernels.map { "    {\($0.id), \"\($0.name)\"},\n" }.joined()
    let text = """
      #include "\(absolute(program.orchestration))"
      #include "pto2_compat/program.hpp"

      static const pto2_compat::kernel_name pto2_compat_names[] = {
      \(list)    {0, nullptr}};
      PTO2_COMPAT_PROGRAM(\(program.entry), pto2_compat_names, "\(program.name)_kernels")

      """
    let source = try workshop.write(text, to: "program.cpp")
    return [compiler.command, "-std=gnu++17"] + common + own
      + ["-shared", "-Wl,--build-id", "-Wl,-z,defs", "-o", workshop.folder + "/program.so", source]
  }

  private func kernelCommand(_ compiler: Compiler, _ kernel: CompatProgram.Kernel, number: Int)
    throws -> [String]
  {
    let text = """
      #include "\(absolute(kernel.source))"
      #define PTO2_COMPAT_KERNEL pto2_compat_\(number)
      #include "pto2_compat/kernel.hpp"

      """
    let source = try workshop.write(text, to: "kernel-\(number).cpp")
    let macro = kernel.isMatrix ? "-D__DAV_CUBE__" : "-D__DAV_VEC__"
    return [compiler.command] + compiler.kernelFlags
      + ["-D__CPU_SIM", "-D__gm__=", "-D__aicore__=", macro] + common
      + kernel.folders.map { "-I" + $0 } + own
      + ["-c", "-o", object(number), source]
  }

  private func hooksCommand(_ compiler: Compiler) throws -> [String] {
    [compiler.command, "-std=gnu++17"] + common
      + ["-c", "-o", workshop.folder + "/hooks.o", headers.compat + "/pto2_compat/hooks.cpp"]
  }

  private func tableCommand(_ compiler: Compiler, _ units: [String: Int]) throws -> [String] {
    let functions = (0..<units.count).map {
      "extern \"C\" void pto2_compat_\($0)(const pto2_kernel_args *);\n"
    }.joined()
    let list = program.kernels.map {
      let type = $0.isMatrix ? "PTO2_AIC" : "PTO2_AIV"
      return "{\"\($0.name)\", pto2_compat_\(units[$0.unit] ?? 0), \(type)}"
    }.joined(separator: ", ")
    let text = "#include \"pto2_kernel.h\"\n\(functions)PTO2_KERNELS(\(list))\n"
    let source = try workshop.write(text, to: "table.cpp")
    return [compiler.command, "-std=gnu++17"] + common
      + ["-c", "-o", workshop.folder + "/table.o", source]
  }

  // MARK: Objects

  private func object(_ number: Int) -> String { "\(workshop.folder)/kernel-\(number).o" }

  /// Pipes between the cores of a cluster need memory that these share, and to run together.
  private func refusePipes(_ count: Int, _ sources: [String]) throws {
    for number in 0..<count
    where readWholeFile(object(number), limit: 1 << 28)?
      .contains("pto_sim_get_pipe_shared_state") == true
    {
      throw CompileFailure.unsupported(
        source: sources[number + 1],
        what:
          "TPUSH and TPOP between the cores of a cluster are not in pto2: its cores are processes, and a mixed task's kernels may run one after another"
      )
    }
  }

  private func isolate(_ number: Int) throws {
    let whole = workshop.folder + "/whole.o"
    for command in [
      [linker, "-r", "--force-group-allocation", "-o", whole, object(number)],
      [
        objectCopy, "--keep-global-symbol=pto2_compat_\(number)",
        "--redefine-sym", "dlsym=pto2_compat_dlsym", whole, object(number),
      ],
    ] {
      if let failed = try workshop.run([command]) {
        throw refusal(of: "kernel \(number)", failed)
      }
    }
  }

  private func link(_ compiler: Compiler, _ count: Int) throws {
    let image = workshop.folder + "/image.so"
    let objects =
      (0..<count).map(object) + ["hooks.o", "table.o"].map { workshop.folder + "/" + $0 }
    let command =
      [compiler.command, "-shared", "-fPIC", "-Wl,--build-id", "-Wl,-z,defs", "-o", image]
      + objects + ["-ldl", "-lm"]
    if let failed = try workshop.run([command]) { throw refusal(of: program.name, failed) }
    for folder in parents(program.outputFolder) { _ = unsafe mkdir(folder, 0o777) }
    // The program last: who finds it finds its image.
    try move(image, program.imagePath)
    try move(workshop.folder + "/program.so", program.programPath)
  }

  private func parents(_ path: String) -> [String] {
    let parts = path.split(separator: "/")
    let root = path.hasPrefix("/") ? "/" : ""
    return parts.indices.map { root + parts[...$0].joined(separator: "/") }
  }

  /// Under its name there is always a whole file.
  private func move(_ source: String, _ target: String) throws {
    let beside = "\(target).\(getpid())"
    let file = try OutputFile(creating: beside)
    try unsafe withFile(source) { unsafe file.write($0) }
    if let error = file.error {
      _ = unsafe unlink(beside)
      throw CompileFailure.lostOutput(error.description)
    }
    _ = unsafe chmod(beside, 0o755)
    guard unsafe rename(beside, target) == 0 else {
      let error = SystemError("rename", target, errno: errno)
      _ = unsafe unlink(beside)
      throw CompileFailure.lostOutput(error.description)
    }
  }
}

extension ToolRun {
  /// What a tool says on its standard output.
  static func words(of command: [String], in workshop: Workshop) throws -> String {
    var tool = try ToolRun(command, output: workshop.folder + "/words")
    while tool.isRunning() { usleep(1000) }
    return tool.output
  }
}
