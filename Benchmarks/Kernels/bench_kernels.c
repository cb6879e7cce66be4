#include "bench_kernels.h"

void empty_aic(const pto2_kernel_args *args) { (void)args; }
void empty_aiv(const pto2_kernel_args *args) { (void)args; }

PTO2_KERNELS({"empty_aic", empty_aic, PTO2_AIC}, {"empty_aiv", empty_aiv, PTO2_AIV})
