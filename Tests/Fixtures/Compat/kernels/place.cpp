// 0 out [blocks * 2]: 1000 * block_num + 10 * block_idx + sub_block_id, at 2 * block + sub.
#include "tile.h"

#include "intrinsic.h"

extern "C" __aicore__ void kernel_entry(__gm__ int64_t *args) {
    const Tile<int32_t> out(args[0]);
    const int32_t block = get_block_idx(args), sub = get_sub_block_id(args);
    out.at(0, uint32_t(2 * block + sub)) = 1000 * get_block_num(args) + 10 * block + sub;
}
