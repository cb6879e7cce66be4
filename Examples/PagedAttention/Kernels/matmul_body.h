/* pa_qk and pa_pv for one PA_LANES; see matmul.c. */
#include "lanes.h"

#ifndef PA_MATMUL_ONCE
#define PA_MATMUL_ONCE
#define PA_ROWS 64   /* query rows held transposed on the stack, 32 KiB */
#define PA_DEPTH 128 /* length of one pass over the summed dimension */
#endif

#undef PA_QK_VECTORS
#undef PA_PV_ROWS
#define PA_QK_VECTORS (PA_LANES == 4 ? 2 : 1)
#define PA_PV_ROWS (PA_LANES == 16 ? 8 : 4)
#define PA_PV_VECTORS 2

/* to[0 ..< padded] = `count` bf16 values, then zeros; all NaN without `from`. */
PA_TARGET static inline void PA_NAME(pa_widen)(float *to, const uint16_t *from, size_t count,
                                               size_t padded) {
    size_t i = 0;
    if (!from) {
        for (; i < padded; i++) to[i] = NAN;
        return;
    }
    for (; i + PA_LANES <= count; i += PA_LANES) {
        PA_U wide = __builtin_convertvector(*(const PA_HU *)(from + i), PA_U) << 16;
        PA_STORE(to + i, (PA_F)wide);
    }
    for (; i < count; i++) to[i] = pto2_bf16_to_f32(from[i]);
    for (; i < padded; i++) to[i] = 0;
}

/* Transposes the square x in place; y is scratch. */
#ifndef PA_TRANSPOSE
#define PA_TRANSPOSE(x, y)                                                  \
    PA_UNROLL for (int step = 1; step < PA_LANES; step *= 2) {              \
        PA_UNROLL for (int i = 0; i < PA_LANES / 2; i++) {                  \
            y[2 * i] = PA_LOW(x[i], x[i + PA_LANES / 2]);                   \
            y[2 * i + 1] = PA_HIGH(x[i], x[i + PA_LANES / 2]);              \
        }                                                                   \
        PA_UNROLL for (int i = 0; i < PA_LANES; i++) x[i] = y[i];           \
    }
#endif

/* q panels [rows / LANES][depth][LANES] of `rows` query rows; absent rows are
 * zero. `wide` is scratch of LANES * PA_DEPTH floats. */
PA_TARGET static void PA_NAME(pa_pack_query)(float *q, float *wide, const uint16_t *query,
                                             int64_t stride, size_t rows, size_t padded_rows,
                                             size_t depth) {
    size_t padded = (depth + PA_LANES - 1) / PA_LANES * PA_LANES;
    for (size_t r0 = 0; r0 < padded_rows; r0 += PA_LANES) {
        for (size_t r = 0; r < PA_LANES; r++) {
            const uint16_t *row = query + (int64_t)(r0 + r) * stride;
            if (r0 + r < rows) PA_NAME(pa_widen)(wide + r * PA_DEPTH, row, depth, padded);
            else for (size_t d = 0; d < padded; d++) wide[r * PA_DEPTH + d] = 0;
        }
        for (size_t d0 = 0; d0 < padded; d0 += PA_LANES) {
            PA_F x[PA_LANES], y[PA_LANES];
            PA_UNROLL for (int i = 0; i < PA_LANES; i++)
                x[i] = PA_LOAD(wide + (size_t)i * PA_DEPTH + d0);
            PA_TRANSPOSE(x, y)
            PA_UNROLL for (int i = 0; i < PA_LANES; i++)
                PA_STORE(q + (r0 * PA_DEPTH + (d0 + (size_t)i) * PA_LANES), x[i]);
        }
    }
}

PA_TARGET static void PA_NAME(pa_qk)(const pto2_kernel_args *args) {
    const pto2_tensor *query = &args->tensor[0], *scores = &args->tensor[3];
    const size_t rows = query->shape[0], hd = query->shape[1];
    const size_t valid = pa_valid(args, 1, scores->shape[1]);
    const pa_pages keys = pa_open(args, 1, args->scalar[0]);
    const size_t step_rows = (size_t)PA_LANES * PA_QK_VECTORS;
    _Alignas(64) float q[PA_ROWS * PA_DEPTH];
    _Alignas(64) float k[PA_LANES * PA_DEPTH];

    for (size_t r0 = 0; r0 < rows; r0 += PA_ROWS) {
        const size_t rn = pa_min(rows - r0, PA_ROWS);
        const size_t rp = (rn + step_rows - 1) / step_rows * step_rows;
        for (size_t d0 = 0; d0 < hd; d0 += PA_DEPTH) {
            const size_t dn = pa_min(hd - d0, PA_DEPTH);
            PA_NAME(pa_pack_query)(
                q, k, (const uint16_t *)args->data[0] + (int64_t)r0 * query->strides[0] + d0,
                query->strides[0], rn, rp, dn);
            for (size_t j0 = 0; j0 < valid; j0 += PA_LANES) {
                const size_t jn = pa_min(valid - j0, PA_LANES);
                for (size_t j = 0; j < PA_LANES; j++) {
                    const uint16_t *key = pa_token(&keys, j0 + pa_min(j, jn - 1));
                    PA_NAME(pa_widen)(k + j * PA_DEPTH, key ? key + d0 : key, dn, dn);
                }
                for (size_t r1 = 0; r1 < rn; r1 += step_rows) {
                    PA_F acc[PA_QK_VECTORS][PA_LANES];
                    const float *panel = q + r1 * PA_DEPTH;
                    PA_UNROLL for (int v = 0; v < PA_QK_VECTORS; v++)
                        PA_UNROLL for (int j = 0; j < PA_LANES; j++)
                            acc[v][j] = (PA_F){0};
                    for (size_t d = 0; d < dn; d++) {
                        PA_UNROLL for (int v = 0; v < PA_QK_VECTORS; v++) {
                            PA_F x = PA_LOAD(panel + (size_t)v * PA_LANES * PA_DEPTH
                                             + d * PA_LANES);
                            PA_UNROLL for (int j = 0; j < PA_LANES; j++)
                                acc[v][j] = PA_FMA(x, k[(size_t)j * PA_DEPTH + d], acc[v][j]);
                        }
                    }
                    for (int v = 0; v < PA_QK_VECTORS; v++) {
                        PA_F x[PA_LANES], y[PA_LANES];
                        PA_UNROLL for (int i = 0; i < PA_LANES; i++) x[i] = acc[v][i];
                        PA_TRANSPOSE(x, y)
                        const size_t first = r1 + (size_t)v * PA_LANES;
                        float *to = (float *)args->data[3]
                            + (int64_t)(r0 + first) * scores->strides[0] + j0;
                        if (first + PA_LANES <= rn && jn == PA_LANES && d0 == 0) {
                            PA_UNROLL for (int i = 0; i < PA_LANES; i++)
                                PA_STORE(to + (int64_t)i * scores->strides[0], x[i]);
                            continue;
                        }
                        float tile[PA_LANES][PA_LANES];
                        PA_UNROLL for (int i = 0; i < PA_LANES; i++) PA_STORE(tile[i], x[i]);
                        for (size_t i = 0; i < PA_LANES && first + i < rn; i++) {
                            float *row = to + (int64_t)i * scores->strides[0];
                            for (size_t j = 0; j < jn; j++)
                                row[j] = d0 ? row[j] + tile[i][j] : tile[i][j];
                        }
                    }
                }
            }
        }
    }
}

PA_TARGET static void PA_NAME(pa_pv)(const pto2_kernel_args *args) {
    const pto2_tensor *p = &args->tensor[0], *o = &args->tensor[3];
    const size_t rows = o->shape[0], hd = o->shape[1];
    const size_t valid = pa_valid(args, 1, p->shape[1]);
    const pa_pages values = pa_open(args, 1, args->scalar[0]);
    enum { columns = PA_LANES * PA_PV_VECTORS };
    _Alignas(64) float panel[PA_DEPTH * columns];

    for (size_t d0 = 0; d0 < hd; d0 += columns) {
        const size_t dn = pa_min(hd - d0, columns);
        size_t j0 = 0;
        do {
            const size_t jn = pa_min(valid - j0, PA_DEPTH);
            for (size_t j = 0; j < jn; j++) {
                const uint16_t *value = pa_token(&values, j0 + j);
                if (d0 == 0) { /* the first panel fetches whole rows for all of them */
                    const uint16_t *ahead = pa_token(&values, pa_min(j0 + j + 8, valid - 1));
                    for (size_t d = 0; ahead && d < hd; d += 32) __builtin_prefetch(ahead + d);
                }
                PA_NAME(pa_widen)(panel + j * columns, value ? value + d0 : value, dn, columns);
            }
            for (size_t r0 = 0; r0 < rows; r0 += PA_PV_ROWS) {
                const size_t rn = pa_min(rows - r0, PA_PV_ROWS);
                const float *from[PA_PV_ROWS]; /* absent rows repeat the last */
                PA_F acc[PA_PV_ROWS][PA_PV_VECTORS];
                PA_UNROLL for (int r = 0; r < PA_PV_ROWS; r++) {
                    from[r] = (const float *)args->data[0]
                        + (int64_t)(r0 + pa_min((size_t)r, rn - 1)) * p->strides[0] + j0;
                    PA_UNROLL for (int v = 0; v < PA_PV_VECTORS; v++) acc[r][v] = (PA_F){0};
                }
                for (size_t j = 0; j < jn; j++) {
                    PA_F x[PA_PV_VECTORS];
                    PA_UNROLL for (int v = 0; v < PA_PV_VECTORS; v++)
                        x[v] = PA_LOAD(panel + j * columns + (size_t)v * PA_LANES);
                    PA_UNROLL for (int r = 0; r < PA_PV_ROWS; r++)
                        PA_UNROLL for (int v = 0; v < PA_PV_VECTORS; v++)
                            acc[r][v] = PA_FMA(x[v], from[r][j], acc[r][v]);
                }
                float tile[PA_PV_ROWS][columns];
                PA_UNROLL for (int r = 0; r < PA_PV_ROWS; r++)
                    PA_UNROLL for (int v = 0; v < PA_PV_VECTORS; v++)
                        PA_STORE(tile[r] + (size_t)v * PA_LANES, acc[r][v]);
                for (size_t r = 0; r < rn; r++) {
                    float *to = (float *)args->data[3] + (int64_t)(r0 + r) * o->strides[0] + d0;
                    for (size_t d = 0; d < dn; d++)
                        to[d] = j0 ? to[d] + tile[r][d] : tile[r][d];
                }
            }
            j0 += PA_DEPTH;
        } while (j0 < valid);
    }
}
