// Tensors 0 to n - 1, then the output [1]; scalar: n. The sum of all their elements.
#include "tile.h"

extern "C" __aicore__ void kernel_entry(__gm__ int64_t *args) {
    int tensors = 0; // the scalar comes behind n + 1 addresses
    while (uint64_t(args[tensors]) > 4096) tensors++;
    float sum = 0;
    for (int t = 0; t < tensors - 1; t++) {
        const Tile<float> x(args[t]);
        for (uint32_t i = 0; i < x.rows; i++) {
            for (uint32_t j = 0; j < x.columns; j++) sum += x.at(i, j);
        }
    }
    Tile<float>(args[tensors - 1]).at(0, 0) = args[tensors] == tensors - 1 ? sum : -1;
}
