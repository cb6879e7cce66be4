// 0 x in place: x = factor * x + offset; scalars: both, float; the third: pause before, in us.
#include "tile.h"

#include <unistd.h>

extern "C" __aicore__ void kernel_entry(__gm__ int64_t *args) {
    const Tile<float> x(args[0]);
    const float factor = from_u64<float>(uint64_t(args[1]));
    const float offset = from_u64<float>(uint64_t(args[2]));
    if (args[3] > 0) usleep(useconds_t(args[3]));
    for (uint32_t i = 0; i < x.rows; i++) {
        for (uint32_t j = 0; j < x.columns; j++) x.at(i, j) = factor * x.at(i, j) + offset;
    }
}
