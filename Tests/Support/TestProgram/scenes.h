/* What the programs in this directory share. */
#ifndef SCENES_H
#define SCENES_H

#include "test_program.h"

#define HIDDEN __attribute__((visibility("hidden")))

HIDDEN extern const pto2_program_api *api;
HIDDEN extern pto2_graph *graph;

static inline pto2_argument argument(uint32_t access, pto2_tensor_handle *tensor) {
    return (pto2_argument){.access = access, .tensor = tensor};
}

/* A task with two scalars. */
HIDDEN int32_t submit(const char *aic, const char *aiv0, const char *aiv1,
                      const pto2_argument *arguments, uint32_t count, uint64_t first,
                      uint64_t second);
/* An int64 tensor of the program's own. */
HIDDEN int64_t *external(pto2_tensor_handle *tensor, uint32_t count);
/* Fails the run when the two differ. */
HIDDEN int32_t expect(const char *what, int64_t found, int64_t expected);

HIDDEN int32_t manual(uint64_t n);
HIDDEN int32_t views(void);
HIDDEN int32_t fills(uint64_t n);
HIDDEN int32_t elements(uint64_t n);
HIDDEN int32_t late(int isSet);
HIDDEN int32_t predicate_types(void);
HIDDEN int32_t beyond(const char *limit);
HIDDEN int32_t tiles(uint64_t n);
HIDDEN int32_t comb(uint64_t n);

#endif
