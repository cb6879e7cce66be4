/* Vectors of PA_LANES floats and the code generation that goes with them.
 * A *_body.h file is included once per width, so this file has no guard:
 *   16  x86-64 with AVX-512     8  x86-64 with AVX2 and FMA
 *    4  every other processor (SSE2, NEON, or whatever the compiler makes of it)
 */
#include <stddef.h>
#include <stdint.h>

#undef PA_NAME
#undef PA_TARGET
#undef PA_FMA
#undef PA_LOW
#undef PA_HIGH

#if PA_LANES == 16
#include <immintrin.h>
#define PA_NAME(name) name##_16
#define PA_TARGET __attribute__((target("avx512f,avx2,fma")))
#define PA_FMA(v, s, acc) _mm512_fmadd_ps(v, _mm512_set1_ps(s), acc)
#define PA_LOW(a, b) __builtin_shufflevector(a, b, \
    0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define PA_HIGH(a, b) __builtin_shufflevector(a, b, \
    8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
#elif PA_LANES == 8
#include <immintrin.h>
#define PA_NAME(name) name##_8
#define PA_TARGET __attribute__((target("avx2,fma")))
#define PA_FMA(v, s, acc) _mm256_fmadd_ps(v, _mm256_set1_ps(s), acc)
#define PA_LOW(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define PA_HIGH(a, b) __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#else
#define PA_NAME(name) name##_4
#define PA_TARGET
#define PA_FMA(v, s, acc) ((acc) + (v) * (s))
#define PA_LOW(a, b) __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define PA_HIGH(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)
#endif

/* The unaligned types are for access through a pointer only. */
typedef float PA_NAME(pa_f) __attribute__((vector_size(4 * PA_LANES)));
typedef float PA_NAME(pa_fu) __attribute__((vector_size(4 * PA_LANES), aligned(4), may_alias));
typedef uint32_t PA_NAME(pa_u) __attribute__((vector_size(4 * PA_LANES)));
typedef int32_t PA_NAME(pa_i) __attribute__((vector_size(4 * PA_LANES)));
typedef uint16_t PA_NAME(pa_hu) __attribute__((vector_size(2 * PA_LANES), aligned(2), may_alias));

#ifndef PA_LANES_ONCE
#define PA_LANES_ONCE

#define PA_F PA_NAME(pa_f)
#define PA_FU PA_NAME(pa_fu)
#define PA_U PA_NAME(pa_u)
#define PA_I PA_NAME(pa_i)
#define PA_HU PA_NAME(pa_hu)
#define PA_LOAD(p) (*(const PA_FU *)(p))
#define PA_STORE(p, v) (*(PA_FU *)(p) = (v))
/* As a loop must be unrolled for its vectors to stay in registers. */
#ifdef __clang__
#define PA_UNROLL _Pragma("clang loop unroll(full)")
#else
#define PA_UNROLL _Pragma("GCC unroll 16")
#endif

/* PA_MAX_LANES limits what pa_dispatch may pick. */
#ifndef PA_MAX_LANES
#define PA_MAX_LANES 16
#endif
#ifdef __x86_64__
#define PA_DISPATCH(name, args)                                             \
    if (PA_MAX_LANES >= 16 && __builtin_cpu_supports("avx512f"))            \
        name##_16(args);                                                    \
    else if (PA_MAX_LANES >= 8 && __builtin_cpu_supports("avx2")            \
             && __builtin_cpu_supports("fma"))                              \
        name##_8(args);                                                     \
    else                                                                    \
        name##_4(args)
#else
#define PA_DISPATCH(name, args) name##_4(args)
#endif
#endif
