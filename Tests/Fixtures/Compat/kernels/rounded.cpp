// 0 x float [n], 1 y bfloat16 [n]: y = x + 1, in the ISA library's type, and where it runs.
#include <cstdint>
#include <pto/pto-inst.hpp>

#include "tile.h"

extern "C" __aicore__ void kernel_entry(__gm__ int64_t *args) {
    const Tile<float> x(args[0]);
    const Tile<bfloat16_t> y(args[1]);
    for (uint32_t j = 0; j < y.columns; j++) {
        y.at(0, j) = bfloat16_t(bfloat16_t(x.at(0, j)) + bfloat16_t(1.0f));
    }
    y.at(0, 0) = bfloat16_t(float(get_subblockid()));
}
