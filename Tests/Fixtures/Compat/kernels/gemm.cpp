// 0 A [m, k], 1 B [k, n], 2 C [m, n]: C = A B, or C += A B where the scalar is 1.
#include "tile.h"

#ifndef __DAV_CUBE__
#error "a kernel of the matrix core"
#endif

extern "C" __aicore__ void kernel_entry(__gm__ int64_t *args) {
    const Tile<float> a(args[0]), b(args[1]), c(args[2]);
    for (uint32_t i = 0; i < c.rows; i++) {
        for (uint32_t j = 0; j < c.columns; j++) {
            float sum = args[3] == 1 ? c.at(i, j) : 0;
            for (uint32_t k = 0; k < a.columns; k++) sum += a.at(i, k) * b.at(k, j);
            c.at(i, j) = sum;
        }
    }
}
