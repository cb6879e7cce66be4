/* Tensors under the names that orchestrations and kernels written for simpler's
 * tensormap_and_ringbuffer use. In an orchestration a ChipTensor stands for a handle of
 * pto2; in a kernel it says where the elements are. docs/compat.md says what is taken. */
#ifndef PTO2_COMPAT_TENSOR_H
#define PTO2_COMPAT_TENSOR_H

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "pto_task_id.h"

inline constexpr int MAX_TENSOR_DIMS = 5;
inline constexpr int MAX_TENSOR_ARGS = 32;
inline constexpr int MAX_SCALAR_ARGS = 16;
inline constexpr int CHIP_MAX_TENSOR_ARGS = 256;
inline constexpr int CHIP_MAX_SCALAR_ARGS = 128;

enum class DataType : uint8_t {
    FLOAT32 = 0,
    FLOAT16,
    INT32,
    INT16,
    INT8,
    UINT8,
    BFLOAT16,
    INT64,
    UINT64,
    UINT16,
    UINT32,
    BOOL,
    FP8E4M3FN,
    FP8E8M0,
    FP4E2M1,
    DATA_TYPE_NUM
};

/* Bytes of an element; 0 for a type that pto2 does not have. */
constexpr uint64_t get_element_size(DataType type) {
    switch (type) {
    case DataType::INT64:
    case DataType::UINT64: return 8;
    case DataType::FLOAT32:
    case DataType::INT32:
    case DataType::UINT32: return 4;
    case DataType::FLOAT16:
    case DataType::BFLOAT16:
    case DataType::INT16:
    case DataType::UINT16: return 2;
    case DataType::INT8:
    case DataType::UINT8:
    case DataType::BOOL:
    case DataType::FP8E4M3FN:
    case DataType::FP8E8M0: return 1;
    default: return 0;
    }
}

constexpr const char *get_dtype_name(DataType type) {
    constexpr const char *names[] = {"FLOAT32", "FLOAT16", "INT32",     "INT16",   "INT8",
                                     "UINT8",   "BFLOAT16", "INT64",    "UINT64",  "UINT16",
                                     "UINT32",  "BOOL",    "FP8E4M3FN", "FP8E8M0", "FP4E2M1"};
    return type < DataType::DATA_TYPE_NUM ? names[int(type)] : "UNKNOWN";
}

enum class AddressSpace : uint8_t { HOST = 0, DEVICE = 1 };

/* A value in the low bytes of a scalar, and back. */
template <typename T> inline uint64_t to_u64(T value) {
    static_assert(sizeof(T) <= 8 && std::is_trivially_copyable<T>::value,
                  "a scalar has 8 bytes at most");
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof value);
    return bits;
}

template <typename T> inline T from_u64(uint64_t bits) {
    static_assert(sizeof(T) <= 8 && std::is_trivially_copyable<T>::value,
                  "a scalar has 8 bytes at most");
    T value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

struct ChipTensor;

namespace pto2_compat {
/* What a view is made of: the orchestration's side defines it (pto2_compat/views.hpp). */
enum class ViewKind { SLICE, RESHAPE, TRANSPOSE, STEPS };
inline ChipTensor derived(const ChipTensor &base, ViewKind kind, uint32_t count,
                          const uint32_t *first, const uint32_t *second, bool manual_dep);
} // namespace pto2_compat

struct alignas(64) ChipTensor {
    struct Buffer {
        uint64_t addr = 0; /* of the whole memory, of which this may be a part */
        uint64_t size = 0; /* its bytes */
    } buffer;
    PTO2TaskId owner_task_id = PTO2TaskId::invalid();
    uint64_t start_offset = 0; /* elements from buffer.addr to the first */
    int32_t version = 0;
    uint32_t ndims = 0;
    DataType dtype = DataType::FLOAT32;
    bool manual_dep = false;
    bool is_contiguous = true;
    AddressSpace address_space = AddressSpace::HOST;
    uint32_t shapes[MAX_TENSOR_DIMS] = {};

    uint64_t extent_elem_cache = 0;
    uint32_t strides[MAX_TENSOR_DIMS] = {}; /* elements */

    /* Which handle it stands for: of which scope, at which place, and which of those that
     * have been there. */
    uint32_t pto2_depth = 0;
    uint32_t pto2_place = 0;
    uint64_t pto2_serial = 0; /* 0: none */

    uint64_t numel() const {
        uint64_t count = 1;
        for (uint32_t d = 0; d < ndims; d++) count *= shapes[d];
        return ndims == 0 && pto2_serial == 0 && buffer.addr == 0 ? 0 : count;
    }

    /* Elements from the first to the last, both included. */
    uint64_t extent_elem() const {
        if (numel() == 0) return 0;
        uint64_t last = 0;
        for (uint32_t d = 0; d < ndims; d++) last += uint64_t(shapes[d] - 1) * strides[d];
        return last + 1;
    }

    uint64_t nbytes() const { return numel() * get_element_size(dtype); }

    uint64_t compute_flat_offset(const uint32_t index[], uint32_t count) const {
        uint64_t offset = start_offset;
        for (uint32_t d = 0; d < count && d < ndims; d++) {
            offset += uint64_t(index[d]) * strides[d];
        }
        return offset;
    }

    bool is_device_memory() const { return address_space == AddressSpace::DEVICE; }

    /* Of the memory, not of the view. */
    template <typename T> T *data_as() const {
        return reinterpret_cast<T *>(static_cast<uintptr_t>(buffer.addr));
    }

    bool valid_reshape(const uint32_t shape[], uint32_t count) const {
        uint64_t all = 1;
        for (uint32_t d = 0; d < count; d++) all *= shape[d];
        return is_contiguous && count <= uint32_t(MAX_TENSOR_DIMS) && all == numel();
    }

    bool valid_transpose(uint32_t x, uint32_t y) const { return x < ndims && y < ndims; }

    ChipTensor view(const uint32_t shape[], const uint32_t offset[],
                    bool is_manual = false) const {
        return pto2_compat::derived(*this, pto2_compat::ViewKind::SLICE, ndims, shape, offset,
                                    is_manual);
    }

    ChipTensor reshape(const uint32_t shape[], uint32_t count, bool is_manual = false) const {
        return pto2_compat::derived(*this, pto2_compat::ViewKind::RESHAPE, count, shape, nullptr,
                                    is_manual);
    }

    ChipTensor transpose(uint32_t x, uint32_t y, bool is_manual = false) const {
        const uint32_t pair[] = {x, y};
        return pto2_compat::derived(*this, pto2_compat::ViewKind::TRANSPOSE, 2, pair, nullptr,
                                    is_manual);
    }

    ChipTensor permute(const uint32_t order[], bool is_manual = false) const {
        ChipTensor result = *this;
        uint32_t at[MAX_TENSOR_DIMS] = {0, 1, 2, 3, 4};
        for (uint32_t d = 0; d < ndims && d < uint32_t(MAX_TENSOR_DIMS); d++) {
            uint32_t from = d;
            while (from < ndims && at[from] != order[d]) from++;
            if (from == d) continue;
            result = result.transpose(d, from, is_manual);
            if (from < ndims) {
                const uint32_t kept = at[d];
                at[d] = at[from];
                at[from] = kept;
            }
        }
        result.manual_dep = is_manual || manual_dep;
        return result;
    }

    ChipTensor slice(uint32_t dim, uint32_t start, uint32_t end, uint32_t step = 1,
                     bool is_manual = false) const {
        const uint32_t what[] = {dim, start, end, step};
        return pto2_compat::derived(*this, pto2_compat::ViewKind::STEPS, 4, what, nullptr,
                                    is_manual);
    }
};

static_assert(sizeof(ChipTensor) == 128, "two cache lines");
static_assert(std::is_trivially_copyable<ChipTensor>::value, "copied as bytes");

#endif
