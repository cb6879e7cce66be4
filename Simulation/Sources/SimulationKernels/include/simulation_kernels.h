/* A kernel image: see kernels.c. */
#include "pto2_kernel.h"
