/* The kernels of the BGEMM example; the image's table names them as below. */
#ifndef BGEMM_KERNELS_H
#define BGEMM_KERNELS_H

#include "pto2_kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

void gemm_tile(const pto2_kernel_args *args); /* "gemm_tile", AIC */
void tile_add(const pto2_kernel_args *args);  /* "tile_add", AIV */

#ifdef __cplusplus
}
#endif

#endif
