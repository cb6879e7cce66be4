// 0 Q [h, d], 1 K [n, d], 2 S [h, n]: S = Q transpose(K) * scale; scalar: scale, float.
#include "tile.h"

extern "C" __aicore__ void kernel_entry(__gm__ int64_t *args) {
    const Tile<float> q(args[0]), k(args[1]), s(args[2]);
    const float scale = from_u64<float>(uint64_t(args[3]));
    for (uint32_t i = 0; i < s.rows; i++) {
        for (uint32_t j = 0; j < s.columns; j++) {
            float sum = 0;
            for (uint32_t e = 0; e < q.columns; e++) sum += q.at(i, e) * k.at(j, e);
            s.at(i, j) = sum * scale;
        }
    }
}
