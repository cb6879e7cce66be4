#ifndef ODD_KERNELS_H
#define ODD_KERNELS_H
#include "pto2_kernel.h"
#endif
