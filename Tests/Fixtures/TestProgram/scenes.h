/* What the programs in this directory share. */
#ifndef SCENES_H
#define SCENES_H

#include "program.h"

/* A task with two scalars. */
HIDDEN int32_t submit(const char *aic, const char *aiv0, const char *aiv1,
                      const pto2_argument *arguments, uint32_t count, uint64_t first,
                      uint64_t second);

HIDDEN int32_t manual(uint64_t n);
HIDDEN int32_t views(void);
HIDDEN int32_t fills(uint64_t n);
HIDDEN int32_t elements(uint64_t n);
HIDDEN int32_t late(int isSet);
HIDDEN int32_t predicate_types(void);
HIDDEN int32_t beyond(const char *limit);
HIDDEN int32_t tiles(uint64_t n);
HIDDEN int32_t comb(uint64_t n);
HIDDEN int32_t records(uint64_t n);
HIDDEN int32_t refusal(void);
HIDDEN int32_t replay(uint64_t n);
HIDDEN int32_t misused_replay(uint64_t which);
HIDDEN int32_t names(void);
HIDDEN int32_t many_names(uint64_t n);

#endif
