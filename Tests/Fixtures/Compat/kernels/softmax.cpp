// 0 S [h, n] in place: e to the S minus the row's maximum; 1 m [h] and 2 l [h] out: that
// maximum, and the row's sum.
#include "tile.h"

#include <cmath>

extern "C" __aicore__ void kernel_entry(__gm__ int64_t *args) {
    const Tile<float> s(args[0]), m(args[1]), l(args[2]);
    for (uint32_t i = 0; i < s.rows; i++) {
        float largest = s.at(i, 0), sum = 0;
        for (uint32_t j = 1; j < s.columns; j++) largest = std::fmax(largest, s.at(i, j));
        for (uint32_t j = 0; j < s.columns; j++) {
            s.at(i, j) = std::exp(s.at(i, j) - largest);
            sum += s.at(i, j);
        }
        m.at(0, i) = largest;
        l.at(0, i) = sum;
    }
}
