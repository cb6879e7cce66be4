/* Elements of a tensor of up to two dimensions, with its strides. */
#ifndef TILE_H
#define TILE_H

#include "tensor.h"

template <typename T> struct Tile {
    T *first;
    uint32_t rows, columns, row, column;

    explicit Tile(int64_t word) {
        const ChipTensor *t = reinterpret_cast<const ChipTensor *>(word);
        first = reinterpret_cast<T *>(t->buffer.addr) + t->start_offset;
        const bool is_flat = t->ndims == 1;
        rows = is_flat ? 1 : t->shapes[0];
        row = is_flat ? 0 : t->strides[0];
        columns = t->shapes[is_flat ? 0 : 1];
        column = t->strides[is_flat ? 0 : 1];
    }
    T &at(uint32_t i, uint32_t j) const { return first[uint64_t(i) * row + uint64_t(j) * column]; }
};

#endif
