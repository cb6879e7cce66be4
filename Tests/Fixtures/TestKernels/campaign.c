/* Kernels of the campaign (docs/campaign.md). Each leaves garbage behind when it is
 * broken off, and none gives the same when it runs on that. */
#include "kernels.h"

/* uint64 [n] each: the last tensor is written, the others are read. Element i is
 * scalar 0 + i, then for each tensor in turn 31 times itself plus the tensor's
 * element i. Scalar 1: microseconds to take half-way. */
void k_sum(const pto2_kernel_args *args) {
    const uint32_t last = args->tensor_count - 1, n = args->tensor[last].element_count;
    volatile uint64_t *out = args->data[last];
    for (uint32_t i = 0; i < n; i++) out[i] = ~(uint64_t)i;
    spin(args->scalar[1]);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t sum = args->scalar[0] + i;
        for (uint32_t t = 0; t < last; t++) sum = 31 * sum + ((const uint64_t *)args->data[t])[i];
        out[i] = sum;
    }
}

/* 0 uint64 [n] inout, any stride: element i becomes 31 * element + scalar 0 + i.
 * Scalar 1: microseconds to take when half of them are stored. */
void k_step(const pto2_kernel_args *args) {
    const uint32_t n = args->tensor[0].element_count;
    for (uint32_t i = 0; i < n; i++) {
        if (i == n / 2) spin(args->scalar[1]);
        volatile uint64_t *x =
            (uint64_t *)args->data[0] + (uint64_t)i * (uint32_t)args->tensor[0].strides[0];
        *x = 31 * *x + args->scalar[0] + i;
    }
}
