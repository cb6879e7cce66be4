import Harness
import PTO2System
import Testing

/// The public headers, with the compilers and the rules that users have.
@Suite struct HeaderTests {
  private static let headers = ["pto2.h", "pto2_kernel.h", "pto2_program.h", "pto2_session.h"]
  private static let languages = [["-x", "c", "-std=c11"], ["-x", "c++", "-std=c++17"]]
  private static let rules = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"]

  /// The toolchain's clang and the system's compiler, as far as they are there.
  private static let compilers = ["clang", "gcc"].filter {
    Command($0, ["--version"], isOnPath: true).wait().status == 0
  }

  /// What the compilers say about a text, and what one of them accepts.
  private func compile(_ text: String, _ language: [String]) -> [Command.Result] {
    let folder = Command.temporaryDirectory()
    defer { removeDirectory(folder) }
    let path = folder + "/text"
    write(text, to: path)
    return Self.compilers.map { compiler in
      Command(
        compiler,
        Self.rules + ["-I", repositoryRoot + "Sources/CPTO2/include"] + language + [path],
        isOnPath: true
      ).wait()
    }
  }

  @Test func thereIsACompiler() { #expect(!Self.compilers.isEmpty) }

  @Test(arguments: headers, languages)
  func headerCompilesAlone(header: String, language: [String]) {
    for result in compile("#include \"\(header)\"\n", language) {
      #expect(result.status == 0, "\(result.errors)")
    }
  }

  /// A kernel table, an entry point and every shorthand, in both languages.
  @Test(arguments: languages) func programCompiles(language: [String]) {
    let program = """
      #include "pto2_kernel.h"
      #include "pto2_session.h"
      static void half(const pto2_kernel_args *args) {
          ((uint16_t *)args->data[0])[0] = pto2_f32_to_bf16(pto2_scalar_f32(args, 0));
      }
      PTO2_KERNELS({"half", half, PTO2_AIV})
      const char *const *pto2_program_images(void) {
          static const char *const images[] = {"half", NULL};
          return images;
      }
      int32_t pto2_program_main(const pto2_program_api *api, pto2_graph *graph, int32_t argc,
                                const char *const *argv) {
          const uint32_t shape[] = {1};
          const uint64_t bits = pto2_float_bits(1.5f);
          pto2_tensor_handle x, y;
          pto2_task task = {0};
          if (argc != 1 || !argv[0]) return api->fail(graph, "no arguments");
          if (api->external_tensor(graph, PTO2_BFLOAT16, 1, shape, &x)) return 1;
          const pto2_argument arguments[] = {pto2_use(PTO2_INOUT, &x),
                                             pto2_output(PTO2_BFLOAT16, 1, shape, &y)};
          const pto2_dependency dependencies[] = {pto2_after(task), pto2_retain(task)};
          pto2_submission submission;
          memset(&submission, 0, sizeof submission);
          submission.bytes = sizeof submission;
          submission.arguments = arguments;
          submission.argument_count = 2;
          submission.dependencies = dependencies;
          submission.dependency_count = 2;
          submission.scalars = &bits;
          submission.scalar_count = 1;
          return api->submit(graph, &submission, &task);
      }

      """
    for result in compile(program, language) { #expect(result.status == 0, "\(result.errors)") }
  }

  /// The entry points have prototypes: another signature is no program.
  @Test(
    arguments: [
      "int pto2_program_main(const pto2_program_api *api, pto2_graph *graph) { return 0; }",
      "void pto2_program_main(const pto2_program_api *a, pto2_graph *g, int32_t n, "
        + "const char *const *v) {}",
      "const char **pto2_program_images(void) { return 0; }",
    ], languages)
  func wrongEntryPointDoesNotCompile(text: String, language: [String]) {
    // In C++ other parameters make another function: the return type is what counts.
    if language.contains("c++"), text.hasPrefix("int ") { return }
    for result in compile("#include \"pto2_program.h\"\n\(text)\n", language) {
      #expect(result.status != 0)
      #expect(result.errors.contains("pto2_program_"), "\(result.errors)")
    }
  }
}
