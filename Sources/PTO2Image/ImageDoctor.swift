internal import CPTO2
internal import Glibc
internal import PTO2Segment
package import PTO2Sight
internal import PTO2System

/// What is right and wrong with a kernel image: from its headers, and from a process that loads
/// it as a worker does.
package struct ImageDoctor {
  package let path: String
  private var checks: [Check] = []

  package init(path: String) { self.path = path }

  /// - Parameter loader: a command that loads an image (`loadAndTell`) in a process of its own.
  package mutating func look(loader: (String) -> [String]) -> [Check] {
    do throws(ElfImage.Failure) {
      let image = try ElfImage(path: path)
      if judge(image) { load(loader(path.contains("/") ? path : "./" + path)) }
    } catch {
      switch error {
      case .cannotRead(let text): add("file", .bad, text, "give the path of a kernel image")
      case .notELF:
        add(
          "file", .bad, "it is no ELF file",
          "link it with cc -shared: a source, an archive or a script is no image")
      case .cut:
        add("file", .bad, "it is cut off: its headers speak of more", "build or copy it again")
      }
    }
    return checks
  }

  private mutating func add(
    _ name: String, _ state: Check.State, _ finding: String, _ remedy: String? = nil
  ) {
    checks.append(Check(name, state, finding, remedy: remedy))
  }

  // MARK: Headers

  private static var machine: (number: UInt16, name: String) {
    #if arch(x86_64)
      (62, "x86-64")
    #else
      (183, "AArch64")
    #endif
  }

  private static func name(ofMachine number: UInt16) -> String {
    switch number {
    case 3: "x86, 32 bits"
    case 40: "Arm, 32 bits"
    case 62: "x86-64"
    case 183: "AArch64"
    case 243: "RISC-V"
    default: "machine \(number) of the ELF list"
    }
  }

  /// - Returns: whether it makes sense to load it.
  private mutating func judge(_ image: ElfImage) -> Bool {
    guard image.is64, image.isLittleEndian, image.machine == Self.machine.number else {
      let bits = image.is64 ? "" : ", \(image.isLittleEndian ? "" : "big-endian, ")32 bits"
      add(
        "file", .bad,
        "it is for \(Self.name(ofMachine: image.machine))\(image.machine == 3 || image.machine == 40 ? "" : bits), this machine is \(Self.machine.name)",
        "compile it here, or with a compiler for \(Self.machine.name)")
      return false
    }
    guard image.type == 3, !image.isExecutable else {
      let what = image.type == 1 ? "an object file" : image.type == 4 ? "a core dump" : "a program"
      add("file", .bad, "it is \(what), not a shared object", "link it with cc -shared -fPIC")
      return false
    }
    add("file", .ok, "a shared object for \(Self.machine.name)")
    judgeTable(image)
    if image.buildID.isEmpty {
      add(
        "build id", .warn, "it has none: every process reads the whole file to compare it",
        "link it with -Wl,--build-id")
    } else {
      add("build id", .ok, hexadecimal(image.buildID))
    }
    if image.hasTextRelocations {
      add(
        "relocations", .warn,
        "the loader writes into its code: each worker has a copy, and where that is forbidden (SELinux) it does not load",
        "compile all of it with -fPIC")
    } else {
      add("relocations", .ok, "none in its code")
    }
    if image.hasStaticTLS {
      add(
        "static TLS", .warn,
        "it wants thread-local memory that was set aside when the worker started: there are about 1.6 KiB for all images",
        "compile it without -ftls-model=initial-exec, and link no library that does so")
    } else {
      add("static TLS", .ok, "not asked for")
    }
    if image.hasExecutableStack {
      add(
        "stack", .warn, "it makes the stacks of its workers executable",
        "link it with -Wl,-z,noexecstack; assembly needs a .note.GNU-stack section")
    }
    return true
  }

  private mutating func judgeTable(_ image: ElfImage) {
    if image.symbols.contains(PTO2_KERNEL_TABLE_SYMBOL) {
      add("table", .ok, "it exports \(PTO2_KERNEL_TABLE_SYMBOL)")
    } else if let other = image.symbols.first(where: { $0.hasPrefix("pto2_kernel_table") }) {
      add(
        "table", .bad, "it exports \(other), this version wants \(PTO2_KERNEL_TABLE_SYMBOL)",
        "compile it again with this version's headers")
    } else {
      let isProgram = image.symbols.contains { $0.hasPrefix("pto2_program_main") }
      add(
        "table", .bad,
        "it exports no \(PTO2_KERNEL_TABLE_SYMBOL)"
          + (isProgram ? "; it is a program: pto2-orchestrator --program" : ""),
        "name its kernels with PTO2_KERNELS(...) of pto2_kernel.h; -fvisibility and strip leave that symbol"
      )
    }
  }

  // MARK: In a process of its own

  /// How long constructors may take.
  private static let seconds = 10

  private mutating func load(_ command: [String]) {
    do {
      let workshop = try Workshop(jobs: 1)
      var tool = try ToolRun(command, output: workshop.folder + "/words")
      let deadline = Deadline(afterMilliseconds: UInt64(Self.seconds) * 1000)
      while tool.isRunning() {
        if deadline.hasPassed {
          tool.end(by: SIGKILL)
          while tool.isRunning() { usleep(1000) }
          add(
            "load", .bad, "its constructors do not end in \(Self.seconds) s",
            "do such work in a kernel")
          return
        }
        usleep(1000)
      }
      tell(tool)
    } catch { add("load", .bad, "it cannot be tried: \(error)", "see the words") }
  }

  private mutating func tell(_ tool: ToolRun) {
    let lines = tool.output.split(separator: "\n").filter { $0.hasPrefix(Self.mark) }
      .map { $0.dropFirst(Self.mark.count).split(separator: "\t", maxSplits: 1).map(String.init) }
    let status = tool.status ?? 0
    guard let last = lines.last, last.count == 2 else {
      let how =
        status > 128
        ? "kills the process: signal \(status - 128)" : "ends the process with status \(status)"
      add("load", .bad, "a constructor \(how)", "do such work in a kernel, or not at all")
      return
    }
    if last[0] == "error" {
      // Said already, by the table's name.
      if last[1].contains("does not export") { return }
      let isSymbol = last[1].contains("undefined symbol")
      add(
        isSymbol ? "symbols" : "load", .bad, last[1],
        isSymbol
          ? "link what defines it, and -Wl,-z,defs, which finds this when it is linked"
          : "see the loader's words")
      return
    }
    add("load", .ok, last[1])
    let threads = lines.first { $0[0] == "threads" }.flatMap { Int($0[1]) } ?? 0
    if threads > 0 {
      add(
        "threads", .warn,
        "its constructors start \(threads) \(threads == 1 ? "thread" : "threads") in each worker",
        "start none before a kernel asks; OMP_NUM_THREADS is 1 for workers, so see what else the library looks at"
      )
    } else {
      add("threads", .ok, "its constructors start none")
    }
  }

  private static let mark = "pto2-doctor: "

  /// What the process does that loads the image: as a worker, then a line for each finding.
  package static func loadAndTell(_ path: String) {
    limitThreadsOfLibraries()
    let before = numbers(in: "/proc/self/task").count
    do throws(KernelImageError) {
      let image = try KernelImage(path: path)
      let more = numbers(in: "/proc/self/task").count - before
      writeOutput("\(mark)threads\t\(max(0, more))\n")
      let count = image.kernels.count
      let names = image.kernels.prefix(8).map(\.name).joined(separator: ", ")
      let what = "\(count) \(count == 1 ? "kernel" : "kernels"): \(names)"
      writeOutput("\(mark)loaded\t\(what)\(count > 8 ? ", ..." : "")\n")
    } catch { writeOutput("\(mark)error\t\(error)\n") }
    _ = flushOutput()
    exitNow(0)
  }

  private func hexadecimal(_ bytes: [UInt8]) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }
}
