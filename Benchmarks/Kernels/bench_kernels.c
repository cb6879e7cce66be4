#include "bench_kernels.h"

#include <sched.h>

void empty_aic(const pto2_kernel_args *args) { (void)args; }
void empty_aiv(const pto2_kernel_args *args) { (void)args; }

/* Runs until the first word of its first tensor is set. */
void hold_aic(const pto2_kernel_args *args) {
    const uint32_t *gate = args->data[0];
    while (__atomic_load_n(gate, __ATOMIC_ACQUIRE) == 0) sched_yield();
}

PTO2_KERNELS({"empty_aic", empty_aic, PTO2_AIC}, {"empty_aiv", empty_aiv, PTO2_AIV},
             {"hold_aic", hold_aic, PTO2_AIC})
