/* Compiles every layout assert as C11, once. */
#include "pto2_abi.h"
#include "pto2_kernel.h"
#include "pto2_program.h"
