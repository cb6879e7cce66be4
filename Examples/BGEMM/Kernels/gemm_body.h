/* gemm_tile for one GEMM_LANES; see bgemm.c. Included once per vector width. */
#undef GEMM_ROWS
#undef GEMM_VECTORS
#undef GEMM_F
#undef GEMM_FU
#define GEMM_ROWS (GEMM_LANES == 16 ? 8 : 4)
#define GEMM_VECTORS 2
#define GEMM_F GEMM_NAME(gemm_f)
#define GEMM_FU GEMM_NAME(gemm_fu)

/* The unaligned type is for access through a pointer only. */
typedef float GEMM_F __attribute__((vector_size(4 * GEMM_LANES)));
typedef float GEMM_FU __attribute__((vector_size(4 * GEMM_LANES), aligned(4), may_alias));

GEMM_TARGET static void GEMM_NAME(gemm_tile)(const pto2_kernel_args *args) {
    const pto2_tensor *a = &args->tensor[0], *b = &args->tensor[1], *c = &args->tensor[2];
    const size_t rows = c->shape[0], width = c->shape[1], depth = a->shape[1];
    enum { columns = GEMM_LANES * GEMM_VECTORS };
    _Alignas(64) float panel[GEMM_DEPTH * columns]; /* b, zero beyond its width */

    for (size_t c0 = 0; c0 < width; c0 += columns) {
        const size_t cn = gemm_min(width - c0, columns);
        size_t k0 = 0;
        do {
            const size_t kn = gemm_min(depth - k0, GEMM_DEPTH);
            for (size_t k = 0; k < kn; k++) {
                const float *from =
                    (const float *)args->data[1] + (int64_t)(k0 + k) * b->strides[0] + c0;
                float *to = panel + k * columns;
                if (cn == columns) {
                    GEMM_UNROLL for (size_t v = 0; v < GEMM_VECTORS; v++)
                        ((GEMM_FU *)to)[v] = ((const GEMM_FU *)from)[v];
                } else {
                    for (size_t i = 0; i < columns; i++) to[i] = i < cn ? from[i] : 0;
                }
            }
            for (size_t r0 = 0; r0 < rows; r0 += GEMM_ROWS) {
                const size_t rn = gemm_min(rows - r0, GEMM_ROWS);
                const float *from[GEMM_ROWS]; /* absent rows repeat the last */
                GEMM_F acc[GEMM_ROWS][GEMM_VECTORS];
                GEMM_UNROLL for (int r = 0; r < GEMM_ROWS; r++) {
                    from[r] = (const float *)args->data[0]
                        + (int64_t)(r0 + gemm_min((size_t)r, rn - 1)) * a->strides[0] + k0;
                    GEMM_UNROLL for (int v = 0; v < GEMM_VECTORS; v++) acc[r][v] = (GEMM_F){0};
                }
                for (size_t k = 0; k < kn; k++) {
                    GEMM_F x[GEMM_VECTORS];
                    GEMM_UNROLL for (int v = 0; v < GEMM_VECTORS; v++)
                        x[v] = ((const GEMM_FU *)(panel + k * columns))[v];
                    GEMM_UNROLL for (int r = 0; r < GEMM_ROWS; r++)
                        GEMM_UNROLL for (int v = 0; v < GEMM_VECTORS; v++)
                            acc[r][v] = GEMM_FMA(x[v], from[r][k], acc[r][v]);
                }
                float tile[GEMM_ROWS][columns];
                GEMM_UNROLL for (int r = 0; r < GEMM_ROWS; r++)
                    GEMM_UNROLL for (int v = 0; v < GEMM_VECTORS; v++)
                        ((GEMM_FU *)tile[r])[v] = acc[r][v];
                for (size_t r = 0; r < rn; r++) {
                    float *to = (float *)args->data[2] + (int64_t)(r0 + r) * c->strides[0] + c0;
                    for (size_t i = 0; i < cn; i++)
                        to[i] = k0 ? to[i] + tile[r][i] : tile[r][i];
                }
            }
            k0 += GEMM_DEPTH;
        } while (k0 < depth);
    }
}

#undef GEMM_NAME
#undef GEMM_LANES
#undef GEMM_TARGET
#undef GEMM_FMA
