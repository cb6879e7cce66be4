/* Views of tensors, and tensors over addresses of the program's arguments. */
#ifndef PTO2_COMPAT_VIEWS_HPP
#define PTO2_COMPAT_VIEWS_HPP

#include "run.hpp"

namespace pto2_compat {

/* Views of the program's arguments live as long as these: the same one, asked for again, is
 * not made again, as far as this remembers. */
struct known_view {
    uint32_t key[4 + 2 * MAX_TENSOR_DIMS];
    uint32_t place;
    uint64_t serial;
};

inline known_view *known(const ChipTensor &base, ViewKind kind, uint32_t count,
                         const uint32_t *first, const uint32_t *second, known_view *wanted) {
    static std::vector<known_view> all(4096);
    memset(wanted->key, 0, sizeof wanted->key);
    wanted->key[0] = base.pto2_place;
    wanted->key[1] = uint32_t(base.pto2_serial);
    wanted->key[2] = uint32_t(kind);
    wanted->key[3] = count;
    for (uint32_t d = 0; d < count; d++) {
        wanted->key[4 + d] = first[d];
        if (second != nullptr) wanted->key[4 + MAX_TENSOR_DIMS + d] = second[d];
    }
    uint64_t hash = 0xCBF29CE484222325;
    for (uint32_t word : wanted->key) hash = (hash ^ word) * 0x100000001B3;
    return &all[(hash ^ hash >> 32) % all.size()];
}

/* Makes the handle of a view; a view that cannot be made ends the run. */
inline pto2_error make_view(const pto2_tensor_handle *base, const ChipTensor &from,
                            ViewKind kind, uint32_t count, const uint32_t *first,
                            const uint32_t *second, pto2_tensor_handle *out) {
    const run &now = current();
    switch (kind) {
    case ViewKind::SLICE: {
        /* Where nothing is seen, nobody cares where it begins. */
        bool is_empty = false;
        for (uint32_t d = 0; d < count; d++) is_empty |= first[d] == 0;
        const uint32_t none[MAX_TENSOR_DIMS] = {};
        return now.api->slice(now.graph, base, is_empty ? none : second, first, out);
    }
    case ViewKind::RESHAPE: return now.api->reshape(now.graph, base, count, first, out);
    case ViewKind::TRANSPOSE:
        return now.api->transpose(now.graph, base, first[0], first[1], out);
    case ViewKind::STEPS: {
        uint32_t offset[MAX_TENSOR_DIMS] = {}, step[MAX_TENSOR_DIMS], shape[MAX_TENSOR_DIMS];
        for (uint32_t d = 0; d < from.ndims; d++) step[d] = 1, shape[d] = from.shapes[d];
        offset[first[0]] = first[1];
        step[first[0]] = first[3];
        shape[first[0]] = (first[2] - first[1] + first[3] - 1) / first[3];
        return now.api->slice_steps(now.graph, base, offset, shape, step, out);
    }
    }
    return PTO2_ERROR_INVALID_ARGS;
}

/* The same in the fields that a program reads. */
inline void adjust(ChipTensor &view, ViewKind kind, uint32_t count, const uint32_t *first,
                   const uint32_t *second) {
    switch (kind) {
    case ViewKind::SLICE: {
        bool is_empty = false;
        for (uint32_t d = 0; d < count; d++) is_empty |= first[d] == 0;
        for (uint32_t d = 0; d < count; d++) {
            if (!is_empty) view.start_offset += uint64_t(second[d]) * view.strides[d];
            view.shapes[d] = first[d];
        }
        break;
    }
    case ViewKind::RESHAPE: describe(view, count, first, view.dtype); break;
    case ViewKind::TRANSPOSE: {
        const uint32_t x = first[0], y = first[1];
        const uint32_t shape = view.shapes[x], stride = view.strides[x];
        view.shapes[x] = view.shapes[y], view.strides[x] = view.strides[y];
        view.shapes[y] = shape, view.strides[y] = stride;
        break;
    }
    case ViewKind::STEPS:
        view.start_offset += uint64_t(first[1]) * view.strides[first[0]];
        view.shapes[first[0]] = (first[2] - first[1] + first[3] - 1) / first[3];
        view.strides[first[0]] *= first[3];
        break;
    }
    uint64_t expected = 1;
    view.is_contiguous = true;
    for (uint32_t d = view.ndims; d-- > 0;) {
        if (view.shapes[d] != 1 && view.strides[d] != expected) view.is_contiguous = false;
        expected *= view.shapes[d];
    }
    view.extent_elem_cache = view.extent_elem();
}

/* What the fields alone can tell; the runtime judges the rest. */
inline const char *complaint(const ChipTensor &base, ViewKind kind, uint32_t count,
                             const uint32_t *first) {
    if (count > uint32_t(MAX_TENSOR_DIMS)) return "more than 5 dimensions";
    switch (kind) {
    case ViewKind::RESHAPE:
        if (!base.is_contiguous) return "reshape of a tensor with gaps";
        return base.valid_reshape(first, count) ? nullptr : "reshape to another number of elements";
    case ViewKind::TRANSPOSE:
        return base.valid_transpose(first[0], first[1]) ? nullptr
                                                        : "transpose of dimensions it has not";
    case ViewKind::STEPS:
        if (first[0] >= base.ndims) return "slice of a dimension it has not";
        if (first[3] == 0) return "slice with step 0";
        if (first[1] > first[2] || first[2] > base.shapes[first[0]]) return "slice beyond its end";
        return nullptr;
    default: return nullptr;
    }
}

inline ChipTensor derived(const ChipTensor &base, ViewKind kind, uint32_t count,
                          const uint32_t *first, const uint32_t *second, bool manual_dep) {
    run &now = current();
    ChipTensor view = base;
    view.manual_dep = base.manual_dep || manual_dep;
    view.pto2_serial = 0;
    const pto2_tensor_handle *handle = handle_of(base, "view");
    if (handle == nullptr) return view;
    if (const char *text = complaint(base, kind, count, first)) {
        fatal(PTO2_ERROR_INVALID_ARGS, "%s", text);
        return view;
    }
    known_view wanted;
    known_view *place = base.pto2_depth == 0 ? known(base, kind, count, first, second, &wanted)
                                             : nullptr;
    if (place != nullptr && place->serial != 0 &&
        memcmp(place->key, wanted.key, sizeof wanted.key) == 0 &&
        place->place < now.scopes[0].handles.size() &&
        now.scopes[0].handles[place->place].serial == place->serial) {
        view.pto2_place = place->place;
        view.pto2_serial = place->serial;
    } else {
        const pto2_tensor_handle copy = *handle;
        pto2_tensor_handle made;
        if (make_view(&copy, base, kind, count, first, second, &made) != 0) {
            const char *text = now.api->error_message(now.graph);
            fatal(PTO2_ERROR_INVALID_ARGS, "%s", text != nullptr ? text : "no such view");
            return view;
        }
        bind(view, base.pto2_depth, made);
        if (place != nullptr) {
            wanted.place = view.pto2_place;
            wanted.serial = view.pto2_serial;
            *place = wanted;
        }
    }
    adjust(view, kind, count, first, second);
    return view;
}

/* A flat part of the program's argument at an address, as elements of a type. */
inline bool part_of_entry(const entry_memory &entry, uint64_t address, uint64_t bytes,
                          DataType type, pto2_tensor_handle *out) {
    const run &now = current();
    pto2_dtype wanted;
    if (!dtype_of(type, &wanted)) return false;
    const pto2_tensor_handle *handle = handle_of(entry.flat, "make_tensor_external");
    if (handle == nullptr) return false;
    pto2_tensor_handle flat = *handle, cut;
    uint64_t size = get_element_size(entry.flat.dtype);
    const uint64_t from = address - entry.address;
    if (from % size != 0 || bytes % size != 0) {
        size = 1;
        if (now.api->bit_cast(now.graph, handle, PTO2_UINT8, &flat) != 0) return false;
    }
    const uint32_t offset = uint32_t(from / size), count = uint32_t(bytes / size);
    if (now.api->slice(now.graph, &flat, &offset, &count, &cut) != 0) return false;
    if (size == 1 || type != entry.flat.dtype) {
        return now.api->bit_cast(now.graph, &cut, wanted, out) == 0;
    }
    *out = cut;
    return true;
}

} // namespace pto2_compat

/* A contiguous tensor over memory of one of the program's arguments: pto2 shares no other. */
inline ChipTensor make_tensor_external(void *address, const uint32_t shape[], uint32_t rank,
                                       DataType dtype = DataType::FLOAT32,
                                       bool manual_dep = false, int32_t version = 0,
                                       AddressSpace space = AddressSpace::HOST) {
    using namespace pto2_compat;
    run &now = current();
    ChipTensor tensor;
    if (now.fatal != 0) return tensor;
    if (rank == 0 || rank > uint32_t(MAX_TENSOR_DIMS)) {
        fatal(PTO2_ERROR_INVALID_ARGS, "make_tensor_external: %u dimensions: expected 1 to 5",
              rank);
        return tensor;
    }
    const uint64_t at = uint64_t(reinterpret_cast<uintptr_t>(address));
    describe(tensor, rank, shape, dtype);
    const uint64_t bytes = tensor.nbytes();
    for (const entry_memory &entry : now.entries) {
        if (at < entry.address || at + bytes > entry.address + entry.bytes) continue;
        pto2_tensor_handle part, whole;
        if (!part_of_entry(entry, at, bytes, dtype, &part) ||
            now.api->reshape(now.graph, &part, rank, shape, &whole) != 0) {
            const char *text = now.api->error_message(now.graph);
            fatal(PTO2_ERROR_INVALID_ARGS, "make_tensor_external: %s, as %s",
                  text != nullptr ? text : "no such view", get_dtype_name(dtype));
            return tensor;
        }
        tensor.buffer.addr = at;
        tensor.buffer.size = bytes;
        tensor.manual_dep = manual_dep;
        tensor.version = version;
        tensor.address_space = space;
        bind(tensor, 0, whole);
        return tensor;
    }
    fatal(PTO2_ERROR_INVALID_ARGS,
          "make_tensor_external: %llu bytes at %p are not inside of one of the program's "
          "tensors: pto2 shares no other memory with its kernels",
          (unsigned long long)bytes, address);
    return tensor;
}

#endif
