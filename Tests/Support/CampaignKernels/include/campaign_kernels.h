/* The image is found by its table. */
#ifndef CAMPAIGN_KERNELS_H
#define CAMPAIGN_KERNELS_H
#include "pto2_kernel.h"
#endif
