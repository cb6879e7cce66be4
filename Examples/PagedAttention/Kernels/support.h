/* What every kernel here shares: sizes, and the walk through a paged cache. */
#ifndef PA_SUPPORT_H
#define PA_SUPPORT_H

#include <math.h>

#include "paged_attention_kernels.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "bf16 is read as the upper half of a little-endian float"
#endif

static inline size_t pa_min(size_t a, size_t b) { return a < b ? a : b; }

/* Tokens of this group: scalar `index`, at most `width`. */
static inline size_t pa_valid(const pto2_kernel_args *args, uint32_t index, size_t width) {
    uint64_t valid = args->scalar[index];
    return valid < width ? (size_t)valid : width;
}

/* One group of a key or value cache [blocks, block_size, kv_heads, hd]. */
typedef struct pa_pages {
    const uint16_t *data;
    const int32_t *table;
    int64_t table_stride;
    int64_t block_stride, token_stride;
    size_t blocks, block_size;
} pa_pages;

/* `cache` and `cache + 1` are the cache and the block-table slice. A kv_head
 * out of range leaves no block in range. */
static inline pa_pages pa_open(const pto2_kernel_args *args, uint32_t cache, uint64_t kv_head) {
    const pto2_tensor *c = &args->tensor[cache], *t = &args->tensor[cache + 1];
    pa_pages pages;
    int inside = kv_head < c->shape[2];
    pages.data = (const uint16_t *)args->data[cache];
    if (inside) pages.data += (int64_t)kv_head * c->strides[2];
    pages.table = (const int32_t *)args->data[cache + 1];
    pages.table_stride = t->rank ? t->strides[t->rank - 1] : 0;
    pages.block_stride = c->strides[0];
    pages.token_stride = c->strides[1];
    pages.blocks = inside ? c->shape[0] : 0;
    pages.block_size = c->shape[1];
    return pages;
}

/* First element of token `j` of the group, or NULL when the block table names
 * no block of the cache; the kernels then compute with NaN. */
static inline const uint16_t *pa_token(const pa_pages *pages, size_t j) {
    int64_t block = pages->table[(int64_t)(j / pages->block_size) * pages->table_stride];
    if (block < 0 || (uint64_t)block >= pages->blocks) return NULL;
    return pages->data + block * pages->block_stride
        + (int64_t)(j % pages->block_size) * pages->token_stride;
}

#endif
