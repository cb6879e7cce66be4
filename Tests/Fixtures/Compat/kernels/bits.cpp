// 0 out uint64 [8]: the eight scalars as they are.
#include "tile.h"

extern "C" __aicore__ void kernel_entry(__gm__ int64_t *args) {
    const Tile<uint64_t> out(args[0]);
    for (uint32_t i = 0; i < 8; i++) out.at(0, i) = uint64_t(args[1 + i]);
}
