/* A kernel image in C++ of an installed pto2: InstallTests compiles it. */
#include "pto2.hpp"

/* y = a * x + b. */
static void scale(pto2::tensor<const float> x, pto2::tensor<float> y, float a, int32_t b) {
    for (uint32_t i = 0; i < y.size(); i++) y[i] = a * x[i] + static_cast<float>(b);
}

/* y becomes the transpose of x; any strides. */
static void transpose(pto2::tensor<const int16_t> x, pto2::tensor<int16_t> y) {
    for (uint32_t i = 0; i < y.extent(0); i++)
        for (uint32_t j = 0; j < y.extent(1); j++) y(i, j) = x(j, i);
}

/* Block b of n puts b + n into its element. */
static void count(pto2::place place, pto2::tensor<uint64_t> y) {
    y[place.block()] = place.block() + place.blocks();
}

/* Rounds in place. */
static void round_down(pto2::tensor<pto2::bfloat16> x, double) {
    for (uint32_t i = 0; i < x.size(); i++)
        x[i] = pto2::bfloat16(static_cast<float>(static_cast<int>(float(x[i]))));
}

PTO2_KERNELS(PTO2_KERNEL(scale, PTO2_AIV), PTO2_KERNEL(transpose, PTO2_AIV),
             PTO2_KERNEL_NAMED("count", count, PTO2_AIC), PTO2_KERNEL(round_down, PTO2_AIC))
