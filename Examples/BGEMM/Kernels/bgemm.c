#include "bgemm_kernels.h"

static inline size_t gemm_min(size_t a, size_t b) { return a < b ? a : b; }

#define GEMM_DEPTH 128 /* length of one pass over k */

#ifdef __clang__
#define GEMM_UNROLL _Pragma("clang loop unroll(full)")
#else
#define GEMM_UNROLL _Pragma("GCC unroll 16")
#endif

/* One version per vector width: AVX-512, AVX2 with FMA, any other processor. */
#if defined(__x86_64__)
#include <immintrin.h>
#define GEMM_NAME(name) name##_16
#define GEMM_LANES 16
#define GEMM_TARGET __attribute__((target("avx512f,avx2,fma")))
#define GEMM_FMA(v, s, acc) _mm512_fmadd_ps(v, _mm512_set1_ps(s), acc)
#include "gemm_body.h"
#define GEMM_NAME(name) name##_8
#define GEMM_LANES 8
#define GEMM_TARGET __attribute__((target("avx2,fma")))
#define GEMM_FMA(v, s, acc) _mm256_fmadd_ps(v, _mm256_set1_ps(s), acc)
#include "gemm_body.h"
#endif
#define GEMM_NAME(name) name##_4
#define GEMM_LANES 4
#define GEMM_TARGET
#define GEMM_FMA(v, s, acc) ((acc) + (v) * (s))
#include "gemm_body.h"

/* GEMM_MAX_LANES limits what gemm_tile may pick. */
#ifndef GEMM_MAX_LANES
#define GEMM_MAX_LANES 16
#endif

/* c = a * b. 0 a [m, k] f32, 1 b [k, n] f32, 2 c [m, n] f32; rows may be
 * strided, c overlaps neither a nor b. */
void gemm_tile(const pto2_kernel_args *args) {
#if defined(__x86_64__)
    if (GEMM_MAX_LANES >= 16 && __builtin_cpu_supports("avx512f")) {
        gemm_tile_16(args);
        return;
    }
    if (GEMM_MAX_LANES >= 8 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        gemm_tile_8(args);
        return;
    }
#endif
    gemm_tile_4(args);
}

/* acc += partial. 0 partial [m, n] f32, 1 acc [m, n] f32; rows may be strided. */
void tile_add(const pto2_kernel_args *args) {
    const pto2_tensor *partial = &args->tensor[0], *acc = &args->tensor[1];
    const size_t rows = acc->shape[0], columns = acc->shape[1];
    for (size_t r = 0; r < rows; r++) {
        const float *from = (const float *)args->data[0] + (int64_t)r * partial->strides[0];
        float *to = (float *)args->data[1] + (int64_t)r * acc->strides[0];
        for (size_t c = 0; c < columns; c++) to[c] += from[c];
    }
}

PTO2_KERNELS({"gemm_tile", gemm_tile, PTO2_AIC},
             {"tile_add", tile_add, PTO2_AIV})
