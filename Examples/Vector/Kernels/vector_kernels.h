/* The kernels of the vector example; the image's table names them as below. */
#ifndef VECTOR_KERNELS_H
#define VECTOR_KERNELS_H

#include "pto2_kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

void vec_add(const pto2_kernel_args *args);        /* "vec_add", AIV */
void vec_add_scalar(const pto2_kernel_args *args); /* "vec_add_scalar", AIV */
void vec_mul(const pto2_kernel_args *args);        /* "vec_mul", AIV */

#ifdef __cplusplus
}
#endif

#endif
