/* Memory that processes share is coherent: nothing to do. */
#ifndef PTO2_COMPAT_CACHE_MAINTENANCE_H
#define PTO2_COMPAT_CACHE_MAINTENANCE_H

#include <cstddef>
#include <cstdint>

static inline void cache_invalidate_range(const void *, size_t) {}
static inline void cache_flush_range(const void *, size_t) {}

#endif
