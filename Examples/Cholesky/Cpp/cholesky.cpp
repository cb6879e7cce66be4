/* A blocked Cholesky decomposition in C++, with its own main(): cholesky-cpp [TILES [SIZE]]
 * docs/cholesky.md has it beside the same in C, Swift and Python. */
#include "pto2.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

/* What the kernels of libCholeskyKernels.so take. */
using read = pto2::tensor<const float>;
using change = pto2::tensor<float>;

/* Symmetric, positive definite. */
static float element(uint32_t i, uint32_t j, uint32_t n) {
    const uint32_t distance = i > j ? i - j : j - i;
    return (i == j ? static_cast<float>(n) : 0) + 1 / (1 + static_cast<float>(distance));
}

/* L by the definition, element by element, in double. */
static std::vector<double> reference(uint32_t n) {
    std::vector<double> l(size_t{n} * n);
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t j = 0; j <= i; j++) {
            double sum = element(i, j, n);
            for (uint32_t k = 0; k < j; k++) sum -= l[i * n + k] * l[j * n + k];
            l[i * n + j] = i == j ? std::sqrt(sum) : sum / l[j * n + j];
        }
    return l;
}

/* Decomposes a matrix in place, tile by tile. */
static void decompose(pto2::graph &graph, const pto2::array<float> &a, uint32_t tiles,
                      uint32_t size) {
    const auto potrf = graph.aiv<void(change)>("cholesky_potrf");
    const auto trsm = graph.aiv<void(read, change)>("cholesky_trsm");
    const auto gemm = graph.aic<void(read, read, change)>("cholesky_gemm");
    const auto syrk = graph.aic<void(read, change)>("cholesky_syrk");
    const auto tile = [&](uint32_t i, uint32_t j) {
        return graph.slice(a, {i * size, j * size}, {size, size});
    };
    for (uint32_t k = 0; k < tiles; k++) {
        graph.submit(potrf, tile(k, k));
        for (uint32_t i = k + 1; i < tiles; i++) graph.submit(trsm, tile(k, k), tile(i, k));
        for (uint32_t i = k + 1; i < tiles; i++) {
            for (uint32_t j = k + 1; j < i; j++)
                graph.submit(gemm, tile(i, k), tile(j, k), tile(i, j));
            graph.submit(syrk, tile(i, k), tile(i, i));
        }
    }
}

int main(int argc, char **argv) {
    const uint32_t tiles = argc > 1 ? static_cast<uint32_t>(std::atoi(argv[1])) : 16;
    const uint32_t size = argc > 2 ? static_cast<uint32_t>(std::atoi(argv[2])) : 64;
    const uint32_t n = tiles * size;
    double error = 0;
    if (tiles < 1 || tiles > 1000 || size < 1 || size > 1000) {
        std::fprintf(stderr, "usage: cholesky-cpp [TILES [SIZE]], each 1 to 1000\n");
        return 64;
    }
    try {
        pto2::session session({"CholeskyKernels"}, 2);
        const pto2_report report = session.run([&](pto2::graph &graph) {
            std::vector<float> matrix(size_t{n} * n);
            for (uint32_t i = 0; i < n; i++)
                for (uint32_t j = 0; j < n; j++) matrix[i * n + j] = element(i, j, n);
            const auto a = graph.external(matrix, {n, n});
            decompose(graph, a, tiles, size);

            const std::vector<double> expected = reference(n);
            const auto l = graph.read(a);
            for (uint32_t i = 0; i < n; i++)
                for (uint32_t j = 0; j <= i; j++) {
                    const double here = std::abs(l[i * n + j] - expected[i * n + j]);
                    /* True for what is not a number, too. */
                    if (!(here <= 1e-4)) graph.fail("L differs from the reference");
                    error = std::max(error, here);
                }
        });
        std::printf("%u x %u tiles of %u: %llu tasks, verified, largest error %.1e\n", tiles,
                    tiles, size, static_cast<unsigned long long>(report.tasks), error);
        return 0;
    } catch (const std::exception &failure) {
        std::fprintf(stderr, "cholesky-cpp: %s\n", failure.what());
        return 1;
    }
}
