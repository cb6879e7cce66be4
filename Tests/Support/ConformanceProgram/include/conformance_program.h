/* What every part of the conformance program uses. */
#ifndef CONFORMANCE_PROGRAM_H
#define CONFORMANCE_PROGRAM_H

#include "pto2_program.h"

const char *const *pto2_program_images(void);
int32_t pto2_program_main(const pto2_program_api *program_api, pto2_graph *program_graph,
                          int32_t argc, const char *const *argv);

extern const pto2_program_api *api;
extern pto2_graph *graph;

/* A task with these kernels, arguments and first scalar. */
int32_t submit(const char *aic, const char *aiv0, const char *aiv1,
               const pto2_argument *arguments, uint32_t count, uint64_t scalar, pto2_task *task);
int32_t submit_after(const char *aiv, const pto2_argument *arguments, uint32_t count,
                     uint64_t scalar, const pto2_task *producers, uint32_t producer_count,
                     pto2_task *task);
pto2_argument use(uint32_t access, pto2_tensor_handle *tensor);
/* An int64 output of so many elements. */
pto2_argument output(uint32_t count, pto2_tensor_handle *tensor);
int64_t *external(pto2_tensor_handle *tensor, uint32_t count);
int32_t element(pto2_tensor_handle *tensor, uint32_t index, pto2_tensor_handle *view);
/* 0 when equal; otherwise ends the run with error 9. */
int32_t expect(const char *what, int64_t found, int64_t expected);

int32_t run_scene(const char *name, uint64_t n);

#endif
