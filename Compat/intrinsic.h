/* What a kernel finds behind its tensors and scalars: its block, and its vector core. */
#ifndef PTO2_COMPAT_INTRINSIC_H
#define PTO2_COMPAT_INTRINSIC_H

#include <cstdint>
#include <ctime>

/* Places in the array that kernel_entry gets. */
inline constexpr int32_t SPMD_LOCAL_CONTEXT_INDEX = 48;
inline constexpr int32_t SPMD_GLOBAL_CONTEXT_INDEX = 49;
inline constexpr int32_t PAYLOAD_LOCAL_CONTEXT_INDEX = SPMD_LOCAL_CONTEXT_INDEX;
inline constexpr int32_t PAYLOAD_GLOBAL_CONTEXT_INDEX = SPMD_GLOBAL_CONTEXT_INDEX;

struct LocalContext {
    int32_t block_idx;
    int32_t block_num;
};

struct GlobalContext {
    int32_t sub_block_id; /* 0 AIV0, 1 AIV1 */
};

static inline int32_t get_block_idx(const int64_t *args) {
    return reinterpret_cast<const LocalContext *>(args[SPMD_LOCAL_CONTEXT_INDEX])->block_idx;
}

static inline int32_t get_block_num(const int64_t *args) {
    return reinterpret_cast<const LocalContext *>(args[SPMD_LOCAL_CONTEXT_INDEX])->block_num;
}

static inline int32_t get_sub_block_id(const int64_t *args) {
    return reinterpret_cast<const GlobalContext *>(args[SPMD_GLOBAL_CONTEXT_INDEX])
        ->sub_block_id;
}

/* A counter of nanoseconds; the ISA library's, where it has one. */
template <typename... Nothing> inline int64_t get_sys_cnt(Nothing...) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return int64_t(now.tv_sec) * 1000000000 + now.tv_nsec;
}

enum DmaWorkspaceKind {
    DMA_WORKSPACE_SDMA,
    DMA_WORKSPACE_ROCE,
    DMA_WORKSPACE_URMA,
    DMA_WORKSPACE_KIND_COUNT
};

/* Not in pto2: whoever asks for it does not compile. */
template <typename... Nothing> inline uint8_t *get_dma_workspace(const int64_t *, Nothing...) {
    static_assert(sizeof...(Nothing) == 99,
                  "device DMA (get_dma_workspace) is not in pto2: docs/compat.md");
    return nullptr;
}

template <typename... Nothing> inline int *get_async_ctx(const int64_t *, Nothing...) {
    static_assert(sizeof...(Nothing) == 99,
                  "deferred completion (get_async_ctx) is not in pto2: docs/compat.md");
    return nullptr;
}

#endif
