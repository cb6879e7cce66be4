/* Kernel table of the conformance suite. */
#ifndef CONFORMANCE_KERNELS_H
#define CONFORMANCE_KERNELS_H

#include "pto2_kernel.h"

#endif
