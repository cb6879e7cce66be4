import Glibc
import Harness
import PTO2System
import Testing

/// `pto2 doctor IMAGE`, with real images that have one fault each.
@Suite struct ImageDoctorTests {
  /// A fault: C source or assembly behind a good image's, flags, and what is to be said.
  struct Fault: CustomTestStringConvertible, Sendable {
    let name: String
    var source = ""
    var flags: [String] = []
    /// Instead of the good image's source.
    var whole: String?
    let check: String
    let state: String
    let words: String
    var testDescription: String { name }
  }

  private static let good = """
    #include "pto2_kernel.h"
    #include <pthread.h>
    #include <stdlib.h>
    #include <unistd.h>
    static void k(const pto2_kernel_args *args) { *(float *)args->data[0] = 1; }
    PTO2_KERNELS({"k", k, PTO2_AIV})

    """

  static let faults = [
    Fault(
      name: "no build id", flags: ["-Wl,--build-id=none"], check: "build id", state: "warn",
      words: "it has none"),
    Fault(
      name: "text relocation",
      source: "__asm__(\".text\\n.quad puts\\n\");", flags: ["-Wl,-z,notext", "-fuse-ld=bfd"],
      check: "relocations", state: "warn", words: "writes into its code"),
    Fault(
      name: "static TLS",
      source: """
        __attribute__((tls_model("initial-exec"))) __thread int own;
        int *ours(void) { return &own; }
        """, check: "static TLS", state: "warn", words: "thread-local memory"),
    Fault(
      name: "executable stack", flags: ["-Wl,-z,execstack"], check: "stack", state: "warn",
      words: "executable"),
    Fault(
      name: "threads",
      source: """
        static void *wait_for(void *p) { pause(); return p; }
        __attribute__((constructor)) static void begin(void) {
            pthread_t t;
            for (int i = 0; i < 3; i++) pthread_create(&t, NULL, wait_for, NULL);
        }
        """, check: "threads", state: "warn", words: "start 3 threads in each worker"),
    Fault(
      name: "undefined symbol",
      source: "void nowhere_defined(void); void call(void) { nowhere_defined(); }",
      check: "symbols", state: "bad", words: "undefined symbol: nowhere_defined"),
    Fault(
      name: "library that is missing",
      source: "int needs_z(void);", flags: ["-Wl,--no-as-needed", "-L.", "-lgone"],
      check: "load", state: "bad", words: "libgone.so"),
    Fault(
      name: "constructor that crashes",
      source: "__attribute__((constructor)) static void begin(void) { abort(); }",
      check: "load", state: "bad", words: "signal 6"),
    Fault(
      name: "constructor that exits",
      source: "__attribute__((constructor)) static void begin(void) { _exit(3); }",
      check: "load", state: "bad", words: "status 3"),
    Fault(
      name: "constructor that hangs",
      source: "__attribute__((constructor)) static void begin(void) { for (;;) pause(); }",
      check: "load", state: "bad", words: "do not end in 10 s"),
    Fault(
      name: "no table", whole: "int f(void) { return 1; }", check: "table", state: "bad",
      words: "exports no pto2_kernel_table_v2"),
    Fault(
      name: "other table", whole: "const int pto2_kernel_table_v1 = 1;", check: "table",
      state: "bad", words: "exports pto2_kernel_table_v1"),
    Fault(
      name: "hidden table",
      whole: "__attribute__((visibility(\"hidden\"))) const int pto2_kernel_table_v2 = 1;",
      check: "table", state: "bad", words: "exports no"),
    Fault(
      name: "empty table",
      whole: """
        #include "pto2_kernel.h"
        PTO2_EXPORT const pto2_kernel_table pto2_kernel_table_v2 = PTO2_KERNEL_TABLE(0, 0);
        """, check: "load", state: "bad", words: "0 kernels, expected 1 to 4096"),
    Fault(
      name: "object file", flags: ["-r", "-nostdlib"], check: "file", state: "bad",
      words: "an object file, not a shared object"),
    Fault(
      name: "program", source: "int main(void) { return 0; }",
      flags: ["-fPIE", "-pie", "-no-shared"], check: "file", state: "bad",
      words: "a program, not a shared object"),
  ]

  @Test(arguments: faults) func faultIsNamed(fault: Fault) throws {
    let folder = Command.temporaryDirectory()
    defer { _ = Command("/bin/rm", ["-rf", folder]).wait() }
    let path = folder + "/image.so"
    try Self.compile(fault.whole ?? Self.good + fault.source, fault.flags, in: folder, to: path)
    let result = Command.run("pto2", ["doctor", path, "--json"])
    #expect(result.status == (fault.state == "bad" ? 1 : 0), "\(result.output)\(result.errors)")
    let line = result.output.split(separator: "\n").first {
      $0.contains("\"check\":\"\(fault.check)\"")
    }
    let found = try #require(line, "\(result.output)\(result.errors)")
    #expect(found.contains("\"state\":\"\(fault.state)\""), "\(found)")
    #expect(found.contains(fault.words), "\(found)")
    #expect(found.contains("\"image\":\"\(path)\""), "\(found)")
    // One fault is one line, but for what follows from it.
    let bad = result.output.split(separator: "\n").filter { !$0.contains("\"state\":\"ok\"") }
    #expect(bad.count == 1 || fault.whole != nil, "\(result.output)")
    let strict = Command.run("pto2", ["doctor", "--strict", path])
    #expect(strict.status == 1)
    #expect(strict.output.contains("To do for \(fault.check): "), "\(strict.output)")
  }

  /// A copy of a good image with other bytes, or fewer.
  @Test(
    arguments: [
      ("machine", [(18, 183)], nil, "it is for AArch64, this machine is"),
      ("class", [(4, 1)], nil, "32 bits"),
      ("magic", [(0, 0)], nil, "no ELF file"),
      ("cut", [], 3000, "it is cut off"),
      ("short", [], 10, "no ELF file"),
    ] as [(String, [(Int, UInt8)], Int?, String)])
  func damagedFileIsNamed(name: String, bytes: [(Int, UInt8)], count: Int?, words: String) throws {
    let folder = Command.temporaryDirectory()
    defer { _ = Command("/bin/rm", ["-rf", folder]).wait() }
    let path = folder + "/image.so"
    try Self.compile(Self.good, [], in: folder, to: path)
    let file = try #require(fopen(path, "r+b"))
    for (offset, value) in bytes {
      fseek(file, offset, SEEK_SET)
      fputc(Int32(value), file)
    }
    fclose(file)
    if let count { truncate(path, count) }
    let result = Command.run("pto2", ["doctor", path])
    #expect(result.status == 1)
    #expect(result.output.contains("bad") && result.output.contains(words), "\(result.output)")
  }

  @Test func goodImagesAreGood() throws {
    let images = ["VectorKernels", "CholeskyKernels"].map { Command.buildDirectory + "lib\($0).so" }
    let result = Command.run("pto2", ["doctor", "--strict"] + images)
    #expect(result.status == 0, "\(result.output)")
    #expect(result.output.contains("4 kernels: cholesky_potrf, "), "\(result.output)")
    let both = Command.run("pto2", ["doctor", images[0], "/nowhere/x.so"])
    #expect(both.status == 1 && both.output.contains("/nowhere/x.so: No such file"))
    let program = Command.run("pto2", ["doctor", Command.buildDirectory + "libVectorProgram.so"])
    #expect(program.status == 1 && program.output.contains("it is a program: pto2-orchestrator"))
  }

  private static func compile(
    _ source: String, _ flags: [String], in folder: String, to path: String
  ) throws {
    write(source + "\n", to: folder + "/image.c")
    // What is asked for is not there when the image is loaded.
    write("int gone;\n", to: folder + "/gone.c")
    let cc = { (words: [String]) in
      Command("cc", words, isOnPath: true, workingDirectory: folder).wait()
    }
    _ = cc(["-shared", "-fPIC", "-o", "libgone.so", "gone.c"])
    let isProgram = flags.contains("-no-shared")
    let isObject = flags.contains("-r")
    let result = cc(
      (isProgram || isObject ? [] : ["-shared"]) + ["-fPIC", "-O1"]
        + (isObject ? [] : ["-Wl,--build-id"]) + ["-I", repositoryRoot + "Sources/CPTO2/include"]
        + ["-o", path, "image.c"] + flags.filter { $0 != "-no-shared" })
    unlink(folder + "/libgone.so")
    try #require(result.status == 0, "\(result.errors)")
  }
}
