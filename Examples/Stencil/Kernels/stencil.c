#include "pto2_kernel.h"

/* One step of the heat equation on some rows of a plate.
 * Tensors: 0 the row above (in, [n]), 1 the rows (in, [rows, n]), 2 the row below (in, [n]),
 * 3 the rows a step later (out, [rows, n]); f32 without gaps. Columns 0 and n - 1 stay. */
static void heat_step(const pto2_kernel_args *args) {
    const float *above = args->data[0], *rows = args->data[1], *below = args->data[2];
    float *next = args->data[3];
    uint32_t count = args->tensor[1].shape[0], n = args->tensor[1].shape[1];
    for (uint32_t r = 0; r < count; r++) {
        const float *here = rows + (size_t)r * n;
        const float *up = r == 0 ? above : here - n;
        const float *down = r + 1 == count ? below : here + n;
        float *to = next + (size_t)r * n;
        to[0] = here[0];
        for (uint32_t c = 1; c + 1 < n; c++)
            to[c] = ((up[c] + down[c]) + (here[c - 1] + here[c + 1])) * 0.25f;
        to[n - 1] = here[n - 1];
    }
}

PTO2_KERNELS({"heat_step", heat_step, PTO2_AIV})
