// 0 x: ends the process.
#include "tile.h"

#include <cstdlib>

extern "C" __aicore__ void kernel_entry(__gm__ int64_t *args) {
    if (args[0] != 0) abort();
}
