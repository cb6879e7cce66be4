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

  @Test(arguments: ["pto2.hpp", "pto2_kernel.hpp", "pto2_task.hpp"], standards)
  func headerInCPlusPlusCompilesAlone(header: String, standard: [String]) {
    for result in compile("#include \"\(header)\"\n", standard) {
      #expect(result.status == 0, "\(result.errors)")
    }
  }

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

  private static let standards = ["-std=c++17", "-std=c++20"].map { ["-x", "c++", $0] }

  /// Kernels and a program over pto2.hpp; `submits` stands in the program.
  private func typed(_ submits: String) -> String {
    """
    #include "pto2.hpp"
    static void scale(pto2::tensor<const float> x, pto2::tensor<float> y, float a) {
        for (uint32_t i = 0; i < y.size(); i++) y[i] = a * x[i];
    }
    static void where(pto2::place place, pto2::tensor<int64_t> y) {
        y(place.block()) = place.blocks();
    }
    PTO2_KERNELS(PTO2_KERNEL(scale, PTO2_AIV), PTO2_KERNEL_NAMED("place", where, PTO2_AIC))
    static void build(pto2::graph &graph, const std::vector<std::string> &) {
        const auto f = graph.aiv<decltype(scale)>("scale");
        const auto x = graph.external(std::vector<float>{1, 2, 3});
        const auto y = graph.external<float>({3});
        const auto whole = graph.external<int64_t>({3});
        const auto once = graph.fill({3}, 1.0f);
        pto2::array<float> z;
        \(submits)
    }
    PTO2_PROGRAM(build)

    """
  }

  @Test(arguments: standards) func typedProgramCompiles(standard: [String]) {
    let program = typed(
      """
      graph.submit(f, x, y, 2.0f);
      graph.submit(f, once, pto2::overwrite(y), 2);
      graph.submit(f, pto2::after_creator(x), pto2::output(z, {3}), 2.0);
      pto2::task_options options;
      options.blocks = 3;
      graph.submit(options, graph.aic<decltype(where)>("place"), pto2::unordered(whole));
      for (float value : graph.read(z)) if (value != 2) graph.fail("wrong", 1001);
      { pto2::scope named(graph, "layer"); }
      graph.log(PTO2_LOG_INFO, std::to_string(graph.get(graph.bit_cast<uint8_t>(z), {1})));
      """)
    for result in compile(program, standard) { #expect(result.status == 0, "\(result.errors)") }
  }

  /// What does not fit the kernel does not compile, and the compiler says why.
  @Test(
    arguments: [
      ("graph.submit(f, x, y);", "as many arguments as the kernel has parameters"),
      ("graph.submit(f, x, y, 2.0f, 1);", "as many arguments as the kernel has parameters"),
      ("graph.submit(f, x, whole, 2.0f);", "one of another element type"),
      ("graph.submit(f, x, once, 2.0f);", "the kernel writes a tensor that is for reading"),
      ("graph.submit(f, pto2::output(z, {3}), y, 2.0f);", "an output is given for a tensor"),
      ("graph.submit(f, x, y, z);", "a scalar of the kernel is given something else"),
    ])
  func wrongArgumentDoesNotCompile(submit: String, words: String) {
    for result in compile(typed(submit), Self.standards[0]) {
      #expect(result.status != 0)
      #expect(result.errors.contains(words), "\(result.errors)")
    }
  }
}
