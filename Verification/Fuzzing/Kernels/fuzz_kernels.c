/* A kernel that reads everything it was given, and a kernel table that can be
 * damaged: unlike PTO2_KERNELS', it lies in writable memory. */
#include "pto2_kernel.h"

/* The optimiser must not drop the reads. */
volatile uint64_t fuzz_sum;

static void touch(const pto2_kernel_args *args) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < args->tensor_count; i++) {
        sum += *(const volatile uint8_t *)args->data[i];
        const volatile uint8_t *tensor = (const volatile uint8_t *)&args->tensor[i];
        for (size_t k = 0; k < sizeof(pto2_tensor); k++) sum += tensor[k];
    }
    for (uint32_t i = 0; i < args->scalar_count; i++)
        sum += *(const volatile uint64_t *)&args->scalar[i];
    fuzz_sum = sum + args->block_index + args->block_count;
}

static const pto2_kernel_entry entries[] = {{"touch", touch, PTO2_AIC},
                                            {"touch_vector", touch, PTO2_AIV}};

PTO2_EXPORT pto2_kernel_table pto2_kernel_table_v2 = PTO2_KERNEL_TABLE(2, entries);
