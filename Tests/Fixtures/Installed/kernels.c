/* A kernel image of an installed pto2: InstallTests compiles it. */
#include "pto2_kernel.h"

#include <stdlib.h>
#include <unistd.h>

/* Tensors: 0 x (in), 1 y (in place), both f32; scalar 0: alpha. y += alpha * x. */
static void saxpy(const pto2_kernel_args *args) {
    const float *x = args->data[0];
    float *y = args->data[1];
    const float alpha = pto2_scalar_f32(args, 0);
    for (uint32_t i = 0; i < args->tensor[1].element_count; i++) y[i] += alpha * x[i];
}

/* A kernel with a bug. */
static void crash(const pto2_kernel_args *args) {
    (void)args;
    abort();
}

/* Until its process is killed. */
static void endless(const pto2_kernel_args *args) {
    (void)args;
    for (;;) sleep(1);
}

PTO2_KERNELS({"saxpy", saxpy, PTO2_AIV}, {"crash", crash, PTO2_AIC},
             {"endless", endless, PTO2_AIC})
