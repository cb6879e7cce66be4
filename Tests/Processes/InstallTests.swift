import Glibc
import Harness
import PTO2System
import Testing

/// What `make install` leaves under a prefix is all that a user needs: programs in C and in
/// Swift are built from there and run, and nothing of the checkout is used but their sources.
@Suite(.serialized) struct InstallTests {
  /// `make install` into a prefix of its own, once for all tests.
  private static let installation = Installation()

  private static let sources = repositoryRoot + "Tests/Fixtures/Installed/"

  @Test func executablesAnswerFromThePrefix() {
    for name in [
      "pto2", "pto2-orchestrator", "pto2-scheduler", "pto2-worker", "pto2-fault", "pto2-link",
    ] {
      let result = Command.run(Self.installation.prefix + "/bin/" + name, ["--help"])
      #expect(result.status == 0 && result.output.contains("USAGE: " + name), "\(result.errors)")
    }
  }

  @Test func scriptsRunFromThePrefix() {
    let result = Self.installation.shell(
      "\(Self.installation.prefix)/bin/pto2 test \(repositoryRoot)Tests/Scripts/basics/raw.yaml")
    #expect(result.status == 0, "\(result.output)\(result.errors)")
  }

  /// Sessions in a program with its own main(): runs that fail do not spoil the next.
  @Test func programInCWithItsOwnMain() throws {
    let folder = try #require(Self.installation.folder("c"))
    let image = folder + "/libinstalled.so"
    let built = Self.installation.shell(
      """
      cc -shared -fPIC -O2 -Wall -Wextra -Werror -Wl,--build-id $(pkg-config --cflags pto2) \
        -o \(image) \(Self.sources)kernels.c &&
      cc -std=c11 -O2 -Wall -Wextra -Werror -o \(folder)/main \(Self.sources)main.c \
        $(pkg-config --cflags --libs pto2) -Wl,-rpath,$(pkg-config --variable=libdir pto2)
      """)
    try #require(built.status == 0, "\(built.errors)")
    let result = Command.run(folder + "/main", [image])
    #expect(result.status == 0, "\(result.output)\(result.errors)")
    #expect(result.output.contains("open: 205 error 205 IMAGE_REFUSED"), "\(result.output)")
    #expect(result.output.contains("run 0: 0 \n  8 tasks"), "\(result.output)")
    #expect(result.output.contains("task 3 was refused"), "\(result.output)")
    #expect(
      result.output.contains("run 1: 5 error 5 INVALID_ARGS: a task can have 16 scalars at most"),
      "\(result.output)")
    #expect(result.output.contains("run 3: 200 error 200 WORKER_DIED"), "\(result.output)")
    #expect(
      result.output.contains("run 5: 209 error 209 INTERRUPTED: the program gave up waiting"),
      "\(result.output)")
    #expect(result.output.contains("run 8: 0 \n  8 tasks"), "\(result.output)")
    #expect(result.errors == "", "the library prints: \(result.errors)")
  }

  /// Kernels with typed parameters and a program over pto2.hpp, by every compiler there is.
  @Test func programInCPlusPlus() throws {
    let folder = try #require(Self.installation.folder("cpp"))
    for (compiler, standard) in [("g++", "17"), ("clang++", "20")]
    where Command(compiler, ["--version"], isOnPath: true).wait().status == 0 {
      let (image, program) = (folder + "/lib\(compiler).so", folder + "/main-\(compiler)")
      let strict = "-std=c++\(standard) -O2 -Wall -Wextra -Wpedantic -Werror"
      let built = Self.installation.shell(
        """
        \(compiler) -shared -fPIC \(strict) -Wl,--build-id $(pkg-config --cflags pto2) \
          -o \(image) \(Self.sources)kernels.cpp &&
        \(compiler) \(strict) -o \(program) \(Self.sources)main.cpp \
          $(pkg-config --cflags --libs pto2) -Wl,-rpath,$(pkg-config --variable=libdir pto2)
        """)
      try #require(built.status == 0, "\(built.errors)")
      let result = Command.run(program, [image])
      #expect(result.status == 0, "\(result.output)\(result.errors)")
      #expect(result.output.hasSuffix("0 failures\n"), "\(result.output)")
      // What the program has logged, and what the C++ library says where a kernel ends.
      #expect(result.errors.contains("pto2: info: of the program"), "\(result.errors)")
    }
  }

  /// What docs/cholesky.md says for C and C++, word for word.
  @Test func choleskyFromThePrefix() throws {
    let folder = try #require(Self.installation.folder("cholesky"))
    let page = readFile(repositoryRoot + "docs/cholesky.md")
    let begin = try #require(page.firstRange(of: "```sh\n")).upperBound
    let end = try #require(page[begin...].firstRange(of: "```\n")).lowerBound
    let result = Self.installation.shell(
      "set -e; cd \(folder); PTO2=\(repositoryRoot)\n" + page[begin..<end])
    #expect(result.status == 0, "\(result.errors)")
    let lines = result.output.split(separator: "\n")
    #expect(
      lines.count == 2
        && lines.allSatisfy { $0.hasPrefix("8 x 8 tiles of 32: 120 tasks, verified") },
      "\(result.output)")
  }

  /// Nothing of Swift can be seen, so a program may have another Swift, or none.
  @Test func libraryShowsItsOwnCallsAlone() {
    let library = Self.installation.prefix + "/lib/libpto2.so"
    let symbols = Self.installation.shell("nm -D --defined-only \(library)")
    let names = symbols.output.split(separator: "\n").compactMap { $0.split(separator: " ").last }
    // Some linkers list the version itself, too.
    #expect(
      names.map { $0.prefix { $0 != "@" } }.filter { $0 != "PTO2_1" }.sorted() == [
        "pto2_session_close", "pto2_session_error", "pto2_session_on_wait", "pto2_session_open",
        "pto2_session_run",
      ])
    let dynamic = Self.installation.shell("readelf -d \(library)").output
    #expect(dynamic.contains("soname: [libpto2.so.1]"), "\(dynamic)")
    #expect(!dynamic.contains("libswift"), "\(dynamic)")
  }

  /// A package that depends on what is installed: three graphs in one session, one of
  /// which fails.
  @Test func packageInSwift() throws {
    let folder = try #require(Self.installation.folder("swift"))
    let image = folder + "/libinstalled.so"
    let result = Self.installation.shell(
      """
      cc -shared -fPIC -O2 -Wl,--build-id $(pkg-config --cflags pto2) -o \(image) \
        \(Self.sources)kernels.c &&
      mkdir -p \(folder)/Sources/three && cp \(Self.sources)Three.swift \(folder)/Sources/three/ &&
      sed 's|PREFIX|\(Self.installation.prefix)|' \(Self.sources)Package.swift.in \
        > \(folder)/Package.swift &&
      cd \(folder) && ${SWIFT:-swift} build >&2 &&
      .build/debug/three \(image)
      """)
    #expect(result.status == 0, "\(result.output)\(result.errors)")
    #expect(result.output.contains("graph 0: 6"), "\(result.output)")
    #expect(result.output.contains("graph 1: error 5 INVALID_ARGS"), "\(result.output)")
    #expect(result.output.contains("graph 2: 10"), "\(result.output)")
  }

  @Test func uninstallLeavesNothing() throws {
    let stage = try #require(Self.installation.folder("stage"))
    let installed = Self.installation.make("install", "PREFIX=/opt/pto2", "DESTDIR=" + stage)
    #expect(installed.status == 0, "\(installed.errors)")
    let text = readFile(stage + "/opt/pto2/lib/pkgconfig/pto2.pc")
    #expect(text.contains("prefix=/opt/pto2\n"), "\(text)")
    #expect(access(stage + "/opt/pto2/bin/pto2-worker", X_OK) == 0)
    let removed = Self.installation.make("uninstall", "PREFIX=/opt/pto2", "DESTDIR=" + stage)
    #expect(removed.status == 0, "\(removed.errors)")
    #expect(Self.installation.shell("find \(stage) -type f -o -type l").output == "")
    let again = Self.installation.make("uninstall", "PREFIX=/opt/pto2", "DESTDIR=" + stage)
    #expect(again.status != 0)
  }
}

/// A prefix in /tmp with the build that is tested; removed when the tests end.
private final class Installation: Sendable {
  let root = Command.temporaryDirectory()
  var prefix: String { root + "/prefix" }

  init() {
    let result = make("install", "PREFIX=" + root + "/prefix")
    precondition(result.status == 0, "make install: \(result.output)\(result.errors)")
    // `exit` calls it: a static is never deinitialised.
    removal = root
    atexit { _ = Command("/bin/rm", ["-rf", removal]).wait() }
  }

  /// `make` takes the build as it is: a test builds nothing of the package.
  func make(_ target: String, _ variables: String...) -> Command.Result {
    Command(
      "make",
      ["--no-print-directory", "-o", "build", target, "BIN=" + Command.buildDirectory]
        + variables, isOnPath: true, workingDirectory: repositoryRoot
    ).wait()
  }

  /// A command line with the prefix's packages known to pkg-config, and no other.
  func shell(_ script: String) -> Command.Result {
    Command(
      "/bin/sh", ["-c", script], environment: ["PKG_CONFIG_PATH": prefix + "/lib/pkgconfig"]
    ).wait()
  }

  /// A new folder; nil when it cannot be made.
  func folder(_ name: String) -> String? {
    let path = root + "/" + name
    return mkdir(path, 0o700) == 0 ? path : nil
  }
}

nonisolated(unsafe) private var removal = ""
