/* Behind a kernel source: `pto2 compile` writes a source that includes it, then this, with
 * PTO2_COMPAT_KERNEL as the name of the function that workers call. */
#include "pto2_kernel.h"

#include "../intrinsic.h"
#include "../tensor.h"

extern "C" void kernel_entry(int64_t *args);

namespace pto2_compat {

inline DataType type_of(uint8_t type) {
    switch (type) {
    case PTO2_FLOAT16: return DataType::FLOAT16;
    case PTO2_BFLOAT16: return DataType::BFLOAT16;
    case PTO2_INT8: return DataType::INT8;
    case PTO2_INT16: return DataType::INT16;
    case PTO2_INT32: return DataType::INT32;
    case PTO2_INT64: return DataType::INT64;
    case PTO2_UINT8: return DataType::UINT8;
    case PTO2_UINT16: return DataType::UINT16;
    case PTO2_UINT32: return DataType::UINT32;
    case PTO2_UINT64: return DataType::UINT64;
    default: return DataType::FLOAT32;
    }
}

/* A tensor whose memory begins with its first element. */
inline void describe(const pto2_tensor &from, void *data, ChipTensor *out) {
    out->ndims = from.rank;
    out->dtype = type_of(from.dtype);
    uint64_t expected = 1;
    for (uint32_t d = from.rank; d-- > 0;) {
        out->shapes[d] = from.shape[d];
        out->strides[d] = uint32_t(from.strides[d]);
        if (from.shape[d] != 1 && out->strides[d] != expected) out->is_contiguous = false;
        expected *= from.shape[d];
    }
    out->extent_elem_cache = out->extent_elem();
    out->buffer.addr = uint64_t(reinterpret_cast<uintptr_t>(data));
    out->buffer.size = out->extent_elem_cache * get_element_size(out->dtype);
}

} // namespace pto2_compat

/* Where the ISA library's simulation asks for its place (pto2_compat/hooks.cpp). */
extern "C" void pto2_compat_enter(const pto2_kernel_args *args);

extern "C" void PTO2_COMPAT_KERNEL(const pto2_kernel_args *args) {
    ChipTensor tensors[MAX_TENSOR_ARGS];
    int64_t words[SPMD_GLOBAL_CONTEXT_INDEX + 1] = {};
    for (uint32_t i = 0; i < args->tensor_count; i++) {
        pto2_compat::describe(args->tensor[i], args->data[i], &tensors[i]);
        words[i] = int64_t(reinterpret_cast<intptr_t>(&tensors[i]));
    }
    for (uint32_t i = 0; i < args->scalar_count; i++) {
        words[args->tensor_count + i] = int64_t(args->scalar[i]);
    }
    LocalContext local = {int32_t(args->block_index), int32_t(args->block_count)};
    GlobalContext global = {args->slot == 2 ? 1 : 0};
    words[SPMD_LOCAL_CONTEXT_INDEX] = int64_t(reinterpret_cast<intptr_t>(&local));
    words[SPMD_GLOBAL_CONTEXT_INDEX] = int64_t(reinterpret_cast<intptr_t>(&global));
    pto2_compat_enter(args);
    kernel_entry(words);
}
