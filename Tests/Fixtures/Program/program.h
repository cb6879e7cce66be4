/* What the test programs share: each is one call of the C API, or checks a result. */
#ifndef TEST_PROGRAM_H
#define TEST_PROGRAM_H

#include "pto2_program.h"

#define HIDDEN __attribute__((visibility("hidden")))

/* Set by pto2_program_main, with `start`. With PTO2_TEST_PLACED in the environment each task
 * and each tensor is on the next of the ranks that run the program. */
HIDDEN extern const pto2_program_api *api;
HIDDEN extern pto2_graph *graph;
HIDDEN void start(const pto2_program_api *program_api, pto2_graph *program_graph);

/* An int64 tensor of the program's own. */
HIDDEN int64_t *external(pto2_tensor_handle *tensor, uint32_t count);
/* 0 when equal; otherwise ends the run with error 9. */
HIDDEN int32_t expect(const char *what, int64_t found, int64_t expected);

#endif
