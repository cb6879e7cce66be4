/* What every part of the conformance program uses. */
#ifndef CONFORMANCE_PROGRAM_H
#define CONFORMANCE_PROGRAM_H

#include "program.h"

/* A task with these kernels, arguments and first scalar. */
int32_t submit(const char *aic, const char *aiv0, const char *aiv1,
               const pto2_argument *arguments, uint32_t count, uint64_t scalar, pto2_task *task);
int32_t submit_after(const char *aiv, const pto2_argument *arguments, uint32_t count,
                     uint64_t scalar, const pto2_task *producers, uint32_t producer_count,
                     pto2_task *task);
/* An int64 output of so many elements. */
pto2_argument output(uint32_t count, pto2_tensor_handle *tensor);
int32_t element(pto2_tensor_handle *tensor, uint32_t index, pto2_tensor_handle *view);
HIDDEN int32_t in_place(uint64_t n);
HIDDEN int32_t spread(uint64_t n);
HIDDEN int32_t freed(uint64_t n);
HIDDEN int32_t kept(uint64_t n);
HIDDEN int32_t empty(uint64_t n);
HIDDEN int32_t machine(uint64_t n);
HIDDEN int32_t bit_cast(uint64_t n);
HIDDEN int32_t creator(uint64_t n);
HIDDEN int32_t own_code(uint64_t n);
HIDDEN int32_t refused_view(uint64_t n);
HIDDEN int32_t refused_and_used(uint64_t n);
HIDDEN int32_t refused_and_left(uint64_t n);
HIDDEN int32_t logs(uint64_t n);
int32_t run_scene(const char *name, uint64_t n);

#endif
