/* The kernels of the paged-attention example. Their arguments are described
 * at each definition; the image's table names them as below. */
#ifndef PAGED_ATTENTION_KERNELS_H
#define PAGED_ATTENTION_KERNELS_H

#include "pto2_kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

void pa_init(const pto2_kernel_args *args);    /* "pa_init", AIV */
void pa_qk(const pto2_kernel_args *args);      /* "pa_qk", AIC */
void pa_softmax(const pto2_kernel_args *args); /* "pa_softmax", AIV */
void pa_pv(const pto2_kernel_args *args);      /* "pa_pv", AIC */
void pa_update(const pto2_kernel_args *args);  /* "pa_update", AIV */

#ifdef __cplusplus
}
#endif

#endif
