// 0 x, 1 y: y = factor * x + offset; scalars: both, float.
#include "tile.h"

extern "C" __aicore__ void kernel_entry(__gm__ int64_t *args) {
    const Tile<float> x(args[0]), y(args[1]);
    const float factor = from_u64<float>(uint64_t(args[2]));
    const float offset = from_u64<float>(uint64_t(args[3]));
    for (uint32_t i = 0; i < y.rows; i++) {
        for (uint32_t j = 0; j < y.columns; j++) y.at(i, j) = factor * x.at(i, j) + offset;
    }
}
