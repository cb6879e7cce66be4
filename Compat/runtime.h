/* The orchestration's interface, under a second name. */
#ifndef PTO2_COMPAT_RUNTIME_H
#define PTO2_COMPAT_RUNTIME_H

#include "pto_orchestration_api.h"

#endif
