// Asks for what pto2 does not have.
#include "intrinsic.h"

extern "C" __aicore__ void kernel_entry(__gm__ int64_t *args) {
    *get_dma_workspace(args, DMA_WORKSPACE_SDMA) = 1;
}
