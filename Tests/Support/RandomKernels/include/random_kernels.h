#ifndef RANDOM_KERNELS_H
#define RANDOM_KERNELS_H
#include "pto2_kernel.h"
#endif
