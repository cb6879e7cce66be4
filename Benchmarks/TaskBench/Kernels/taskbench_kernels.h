/* A task of Task Bench. Scalars: the packed graph, step << 32 | point,
 * run << 40 | iterations. */
#ifndef TASKBENCH_KERNELS_H
#define TASKBENCH_KERNELS_H

#include "pto2_kernel.h"

/* "taskbench", AIV, and "taskbench_aic", AIC: the outputs it depends on by ascending points,
 * then its own. */
void taskbench_task(const pto2_kernel_args *args);
/* "taskbench_explicit", AIV: one tensor with the outputs of all steps, step by step. */
void taskbench_explicit_task(const pto2_kernel_args *args);

#endif
