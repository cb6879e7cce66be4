// 0 m [h], 1 l [h], 2 O [h, d] of one block of keys; 3 M, 4 L, 5 A in place: of all so far;
// 6 result [h, d]. Scalars: first block, last block.
#include "tile.h"

#include <cmath>

extern "C" __aicore__ void kernel_entry(__gm__ int64_t *args) {
    const Tile<float> m(args[0]), l(args[1]), o(args[2]), all_m(args[3]), all_l(args[4]),
        all(args[5]), result(args[6]);
    for (uint32_t i = 0; i < o.rows; i++) {
        const bool is_first = args[7] == 1;
        const float largest = is_first ? m.at(0, i) : std::fmax(m.at(0, i), all_m.at(0, i));
        const float old = is_first ? 0 : std::exp(all_m.at(0, i) - largest);
        const float now = std::exp(m.at(0, i) - largest);
        const float sum = (is_first ? 0 : old * all_l.at(0, i)) + now * l.at(0, i);
        for (uint32_t j = 0; j < o.columns; j++) {
            const float value = (is_first ? 0 : old * all.at(i, j)) + now * o.at(i, j);
            all.at(i, j) = value;
            if (args[8] == 1) result.at(i, j) = value / sum;
        }
        all_m.at(0, i) = largest;
        all_l.at(0, i) = sum;
    }
}
