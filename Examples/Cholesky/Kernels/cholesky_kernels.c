/* Kernels of a blocked Cholesky decomposition A = L * transpose(L), in float32. Tiles are
 * s x s views of a larger matrix: a row lies in one piece, rows a stride apart. */
#include "pto2_kernel.h"

#include <math.h>

typedef struct {
    float *first;
    int64_t stride;
} tile;

static tile tile_of(const pto2_kernel_args *args, uint32_t index) {
    return (tile){args->data[index], args->tensor[index].strides[0]};
}

static float *row(tile t, uint32_t i) { return t.first + i * t.stride; }

/* Sum of a[k] * b[k]. */
static float dot(const float *a, const float *b, uint32_t count) {
    float part[16] = {0};
    uint32_t k = 0;
    for (; k + 16 <= count; k += 16)
        for (uint32_t j = 0; j < 16; j++) part[j] += a[k + j] * b[k + j];
    for (; k < count; k++) part[0] += a[k] * b[k];
    for (uint32_t j = 1; j < 16; j++) part[0] += part[j];
    return part[0];
}

/* 0 A [s, s] in place: its lower triangle becomes L. NaN where A is not positive definite. */
static void potrf(const pto2_kernel_args *args) {
    const tile a = tile_of(args, 0);
    for (uint32_t i = 0; i < args->tensor[0].shape[0]; i++) {
        for (uint32_t j = 0; j < i; j++)
            row(a, i)[j] = (row(a, i)[j] - dot(row(a, i), row(a, j), j)) / row(a, j)[j];
        row(a, i)[i] = sqrtf(row(a, i)[i] - dot(row(a, i), row(a, i), i));
    }
}

/* 0 L [s, s], lower triangle; 1 B [s, s] in place: B * inverse(transpose(L)). */
static void trsm(const pto2_kernel_args *args) {
    const tile l = tile_of(args, 0), b = tile_of(args, 1);
    for (uint32_t i = 0; i < args->tensor[1].shape[0]; i++)
        for (uint32_t j = 0; j < args->tensor[1].shape[1]; j++)
            row(b, i)[j] = (row(b, i)[j] - dot(row(b, i), row(l, j), j)) / row(l, j)[j];
}

/* 0 A [s, s], 1 B [s, s], 2 C [s, s] in place: C - A * transpose(B). */
static void gemm(const pto2_kernel_args *args) {
    const tile a = tile_of(args, 0), b = tile_of(args, 1), c = tile_of(args, 2);
    const uint32_t size = args->tensor[2].shape[1];
    for (uint32_t i = 0; i < args->tensor[2].shape[0]; i++)
        for (uint32_t j = 0; j < size; j++) row(c, i)[j] -= dot(row(a, i), row(b, j), size);
}

/* 0 A [s, s], 1 C [s, s] in place: the lower triangle of C - A * transpose(A). */
static void syrk(const pto2_kernel_args *args) {
    const tile a = tile_of(args, 0), c = tile_of(args, 1);
    const uint32_t size = args->tensor[1].shape[0];
    for (uint32_t i = 0; i < size; i++)
        for (uint32_t j = 0; j <= i; j++) row(c, i)[j] -= dot(row(a, i), row(a, j), size);
}

PTO2_KERNELS({"cholesky_potrf", potrf, PTO2_AIV}, {"cholesky_trsm", trsm, PTO2_AIV},
             {"cholesky_gemm", gemm, PTO2_AIC}, {"cholesky_syrk", syrk, PTO2_AIC})
