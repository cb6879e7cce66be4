/* The run that an orchestration builds: its graph, its scopes, and the handles that its
 * tensors stand for. One thread, one run of one program at a time. */
#ifndef PTO2_COMPAT_RUN_HPP
#define PTO2_COMPAT_RUN_HPP

#include <cstdarg>
#include <cstdio>
#include <vector>

#include "pto2_program.h"
#include "../tensor.h"

namespace pto2_compat {

/* What a kernel of the program is called in its image. */
struct kernel_name {
    int32_t id;
    const char *name;
};

/* A handle, and the number that only tensors made for it have. */
struct handle {
    pto2_tensor_handle value;
    uint64_t serial;
};

struct scope {
    bool is_manual = false;
    std::vector<handle> handles;      /* of outputs of its tasks, and of views of them */
    std::vector<ChipTensor *> outputs; /* what get_ref refers to */
    std::vector<uint64_t> tasks;      /* ids, ascending */
};

/* A tensor that the program was started with. */
struct entry_memory {
    uint64_t address;
    uint64_t bytes;
    ChipTensor flat; /* one dimension */
};

struct run {
    const pto2_program_api *api = nullptr;
    pto2_graph *graph = nullptr;
    std::vector<scope> scopes;
    std::vector<entry_memory> entries;
    std::vector<pto2_kernel> kernels; /* as `names` */
    const kernel_name *names = nullptr;
    uint32_t name_count = 0;
    uint64_t serial = 0;
    int32_t fatal = 0; /* the first error's code */
    pto2_machine machine = {};
};

inline run &current() {
    static run the;
    return the;
}

/* The runtime's own calls: 0, or the run is over. */
inline bool failed(pto2_error code) {
    if (code != 0 && current().fatal == 0) current().fatal = int32_t(code);
    return code != 0;
}

/* Ends the run. Codes of the original that the runtime has no call for, 0 to 39, are the
 * program's own here: 1000 and that number. */
__attribute__((format(printf, 2, 3))) inline void fatal(int32_t code, const char *format, ...) {
    run &now = current();
    if (now.fatal != 0) return;
    char text[448];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    now.fatal = code != 0 ? code : int32_t(PTO2_ERROR_EXPLICIT_ORCH_FATAL);
    if (code >= PTO2_ERROR_PROGRAM && code <= PTO2_ERROR_PROGRAM_LAST) {
        now.api->fail_with(now.graph, uint32_t(code), text);
    } else if (code > 0 && code < 40 && code != PTO2_ERROR_EXPLICIT_ORCH_FATAL) {
        now.api->fail_with(now.graph, uint32_t(PTO2_ERROR_PROGRAM + code), text);
    } else {
        char words[480];
        snprintf(words, sizeof words, "%s (code %d of the program)", text, int(code));
        now.api->fail(now.graph,
                      code == PTO2_ERROR_EXPLICIT_ORCH_FATAL || code == 0 ? text : words);
    }
}

/* pto2's number for a type; false when it has none. */
inline bool dtype_of(DataType type, pto2_dtype *out) {
    switch (type) {
    case DataType::FLOAT32: *out = PTO2_FLOAT32; return true;
    case DataType::FLOAT16: *out = PTO2_FLOAT16; return true;
    case DataType::BFLOAT16: *out = PTO2_BFLOAT16; return true;
    case DataType::INT8: *out = PTO2_INT8; return true;
    case DataType::INT16: *out = PTO2_INT16; return true;
    case DataType::INT32: *out = PTO2_INT32; return true;
    case DataType::INT64: *out = PTO2_INT64; return true;
    case DataType::UINT8:
    case DataType::BOOL:
    case DataType::FP8E8M0: *out = PTO2_UINT8; return true; /* a byte */
    case DataType::FP8E4M3FN: *out = PTO2_FLOAT8_E4M3FN; return true;
    case DataType::UINT16: *out = PTO2_UINT16; return true;
    case DataType::UINT32: *out = PTO2_UINT32; return true;
    case DataType::UINT64: *out = PTO2_UINT64; return true;
    default: return false;
    }
}

/* A tensor from now on stands for `value`, until the scope at this depth ends. */
inline void bind(ChipTensor &tensor, uint32_t depth, const pto2_tensor_handle &value) {
    run &now = current();
    std::vector<handle> &table = now.scopes[depth].handles;
    tensor.pto2_depth = depth;
    tensor.pto2_place = uint32_t(table.size());
    tensor.pto2_serial = ++now.serial;
    table.push_back(handle{value, now.serial});
}

/* The handle, or null after an error that says which tensor of which call it is. */
inline const pto2_tensor_handle *handle_of(const ChipTensor &tensor, const char *what) {
    run &now = current();
    if (now.fatal != 0) return nullptr;
    if (tensor.pto2_serial == 0) {
        fatal(PTO2_ERROR_INVALID_ARGS, "%s: a tensor that was never made", what);
        return nullptr;
    }
    if (tensor.pto2_depth < now.scopes.size()) {
        const std::vector<handle> &table = now.scopes[tensor.pto2_depth].handles;
        if (tensor.pto2_place < table.size() &&
            table[tensor.pto2_place].serial == tensor.pto2_serial) {
            return &table[tensor.pto2_place].value;
        }
    }
    fatal(PTO2_ERROR_INVALID_ARGS, "%s: the scope of the tensor has ended", what);
    return nullptr;
}

/* Fills in what a contiguous tensor says of itself. */
inline void describe(ChipTensor &tensor, uint32_t rank, const uint32_t *shape, DataType dtype) {
    tensor.ndims = rank;
    tensor.dtype = dtype;
    tensor.is_contiguous = true;
    uint32_t stride = 1;
    for (uint32_t d = rank; d-- > 0;) {
        tensor.shapes[d] = shape[d];
        tensor.strides[d] = stride;
        stride *= shape[d] != 0 ? shape[d] : 1;
    }
    tensor.extent_elem_cache = tensor.extent_elem();
}

/* Of a task that an open scope has: what it put out can be kept alive. */
inline bool is_open(uint64_t task) {
    for (const scope &open : current().scopes) {
        size_t low = 0, high = open.tasks.size();
        while (low < high) {
            const size_t middle = (low + high) / 2;
            if (open.tasks[middle] < task) low = middle + 1;
            else high = middle;
        }
        if (low < open.tasks.size() && open.tasks[low] == task) return true;
    }
    return false;
}

} // namespace pto2_compat

#endif
