// 0 x [2, n], 1 y [2, n]: the vector core of a cluster that is 0 or 1 negates that row.
#include "tile.h"

#include "intrinsic.h"

extern "C" __aicore__ void kernel_entry(__gm__ int64_t *args) {
    const Tile<float> x(args[0]), y(args[1]);
    const uint32_t row = uint32_t(get_sub_block_id(args));
    for (uint32_t j = 0; j < y.columns; j++) y.at(row, j) = -x.at(row, j);
}
