#ifndef TEST_KERNELS_H
#define TEST_KERNELS_H
#include "pto2_kernel.h"
#endif
