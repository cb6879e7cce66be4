/* Kernels that do nothing: what is left is the runtime's own time. */
#ifndef BENCH_KERNELS_H
#define BENCH_KERNELS_H

#include "pto2_kernel.h"

void empty_aic(const pto2_kernel_args *args); /* "empty_aic", AIC */
void empty_aiv(const pto2_kernel_args *args); /* "empty_aiv", AIV */
void hold_aic(const pto2_kernel_args *args);  /* "hold_aic", AIC: waits for a word */

#endif
