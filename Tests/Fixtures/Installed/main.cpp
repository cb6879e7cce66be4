/* A program in C++ over pto2.hpp: InstallTests compiles it against an installed pto2.
 *
 *     main IMAGE
 *
 * Exits with 0 when every run ended as it should. */
#include "pto2.hpp"

#include <cstdio>
#include <functional>

using scale_type = void(pto2::tensor<const float>, pto2::tensor<float>, float, int32_t);
static int failures = 0;

static void expect(bool holds, const char *what) {
    if (holds) return;
    std::printf("wrong: %s\n", what);
    failures++;
}

/* Every kind of argument, views, data and tasks. */
static void everything(pto2::graph &graph) {
    const auto scale = graph.aiv<scale_type>("scale");
    const std::vector<float> values{1, 2, 3, 4, 5, 6};
    const auto x = graph.external(values), y = graph.external<float>({6});
    pto2::array<float> z;
    {
        pto2::scope scope(graph);
        graph.submit(scale, x, pto2::output(z, {6}), 2.0f, -1);
        graph.submit(scale, pto2::after_creator(z), pto2::overwrite(y), 1, 0);
        graph.submit(scale, graph.slice(x, {0}, {3}, {2}), graph.slice(y, {3}, {3}), 10.0f, 0);
    }
    const auto read = graph.read(y);
    /* 2x - 1 in the first half; slices with steps are read as they lie. */
    for (uint32_t i = 0; i < 3; i++) expect(read[i] == 2 * values[i] - 1, "scale");
    expect(graph.get(y, {3}) == 10 && graph.get(y, {4}) == 20, "scale of a view");

    pto2::array<float> state, next;
    for (int step = 0; step < 20; step++) {
        pto2::scope scope(graph);
        graph.submit(scale, step ? state : x, pto2::kept_output(next, {6}), 2.0f, step);
        if (step) graph.free(state);
        state = next;
    }
    /* From 2: twice as much and the number of the step. */
    expect(graph.get(state, {1}) == 2 * 1048576.0f + 1048576 - 21, "a kept output");

    const auto a = graph.external(std::vector<int16_t>{1, 2, 3, 4, 5, 6}, {2, 3});
    const auto b = graph.external<int16_t>({3, 2});
    const auto turn =
        graph.aiv<void(pto2::tensor<const int16_t>, pto2::tensor<int16_t>)>("transpose");
    graph.submit(turn, a, b);
    expect(graph.get(b, {2, 0}) == 3 && graph.get(b, {0, 1}) == 4, "transpose");
    /* Its transpose, transposed, of twice the columns. */
    const auto wide = graph.external<int16_t>({3, 4});
    graph.submit(turn, graph.transpose(b, 0, 1), graph.slice(wide, {0, 1}, {3, 2}));
    expect(graph.get(wide, {2, 1}) == 3 && graph.get(wide, {0, 2}) == 4, "strides");
    expect(graph.get(wide, {2, 0}) == 0 && graph.get(wide, {2, 3}) == 0, "beside the view");
    const auto bytes = graph.bit_cast<uint8_t>(a);
    expect(bytes.shape()[1] == 6 && bytes.is_contiguous(), "shape of the bytes");
    expect(graph.get(bytes, {0, 2}) == 2 && graph.get(bytes, {0, 3}) == 0, "bytes");

    pto2::task_options options;
    options.blocks = 4;
    const auto blocks = graph.external<uint64_t>({4});
    graph.submit(options, graph.aic<void(pto2::place, pto2::tensor<uint64_t>)>("count"),
                 pto2::unordered(blocks));
    const auto counts = graph.read(blocks);
    for (uint32_t i = 0; i < 4; i++) expect(counts[i] == i + 4, "blocks");

    const auto c = graph.external(std::vector<pto2::bfloat16>{pto2::bfloat16(2.75f)});
    options.blocks = 1;
    options.near = 1;
    options.dependencies = {pto2_after(graph.submit(
        graph.aic<void(pto2::tensor<pto2::bfloat16>, double)>("round_down"), c, 1))};
    graph.submit(options, scale, x, y, 1.0f, 0);
    expect(float(graph.read(c)[0]) == 2, "bfloat16");
    graph.log(PTO2_LOG_INFO, "of the program");
}

/* What a run throws. */
static void expect_error(pto2::session &session, pto2_error code, const char *words,
                         const std::function<void(pto2::graph &)> &build) {
    try {
        session.run(build);
        expect(false, words);
    } catch (const pto2::error &error) {
        if (error.code() == code && std::string(error.what()).find(words) != std::string::npos)
            return;
        std::printf("error %d, not %d: %s\n", error.code(), code, error.what());
        failures++;
    }
}

int main(int argc, char **argv) {
    if (argc != 2) return 64;
    try {
        pto2::session nothing({"/no/such/image.so"});
        expect(false, "an image that is not there");
    } catch (const pto2::error &error) {
        expect(error.code() == PTO2_ERROR_IMAGE_REFUSED, error.what());
    }
    pto2::session session({argv[1]}, 2);
    const pto2_report report = session.run(everything);
    expect(report.tasks == 8 + 20, "the number of tasks");

    expect_error(session, PTO2_ERROR_INVALID_ARGS, "no kernel",
                 [](pto2::graph &graph) { graph.aiv<scale_type>("nobody"); });
    expect_error(session, static_cast<pto2_error>(1003), "own",
                 [](pto2::graph &graph) { graph.fail("own", 1003); });
    expect_error(session, PTO2_ERROR_INVALID_ARGS, "near cluster 2: expected 0 to 1",
                 [](pto2::graph &graph) {
                     pto2::task_options options;
                     options.near = 2;
                     const auto x = graph.external<float>({4});
                     graph.submit(options, graph.aiv<scale_type>("scale"), x,
                                  pto2::overwrite(x), 1.0f, 0);
                 });
    /* A view can be done without, or end the run. */
    const auto beyond = [](pto2::graph &graph) {
        const auto x = graph.external<float>({4});
        graph.slice(x, {3}, {2});
    };
    expect_error(session, PTO2_ERROR_INVALID_ARGS, "reaches beyond", beyond);
    session.run([&](pto2::graph &graph) {
        try {
            beyond(graph);
            expect(false, "a view beyond");
        } catch (const pto2::error &error) {
            expect(error.code() == PTO2_ERROR_INVALID_ARGS, error.what());
        }
        everything(graph);
    });
    /* The program's own exception comes back as it was. */
    try {
        session.run([](pto2::graph &) { throw std::out_of_range("mine"); });
        expect(false, "an exception of the program");
    } catch (const std::out_of_range &error) {
        expect(std::string(error.what()) == "mine", error.what());
    }
    /* The kernel and its task disagree: here at run time, for the program lies. */
    expect_error(session, PTO2_ERROR_WORKER_DIED, "tensor 0 has data type 5",
                 [](pto2::graph &graph) {
                     pto2::task_options once;
                     once.recovery = PTO2_RECOVERY_ONCE;
                     const auto x = graph.external<int32_t>({4});
                     const auto wrong = graph.aiv<void(pto2::tensor<const int32_t>,
                                                       pto2::tensor<int32_t>, float, int32_t)>(
                         "scale");
                     graph.submit(once, wrong, x, x, 1.0f, 0);
                 });
    expect_error(session, PTO2_ERROR_WORKER_DIED, "the kernel takes 2 and 2",
                 [](pto2::graph &graph) {
                     pto2::task_options once;
                     once.recovery = PTO2_RECOVERY_ONCE;
                     graph.submit(once, graph.aiv<void(pto2::tensor<float>)>("scale"),
                                  graph.external<float>({4}));
                 });
    expect_error(session, PTO2_ERROR_WORKER_DIED, "\"liar\" failed: ",
                 [](pto2::graph &graph) {
                     pto2::task_options named;
                     named.recovery = PTO2_RECOVERY_ONCE;
                     named.name = "liar";
                     graph.submit(named, graph.aiv<void(pto2::tensor<float>)>("scale"),
                                  graph.external<float>({4}));
                 });
    session.run(everything);
    std::printf("%d failures\n", failures);
    return failures != 0;
}
