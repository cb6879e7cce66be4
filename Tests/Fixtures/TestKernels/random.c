/* Kernels of the differential test. They take any arguments: every element of
 * an OUTPUT or INOUT tensor becomes a function of its old value (INOUT), of all
 * elements of all INPUT tensors and of all scalars, in that order. Integer
 * arithmetic, so that results are equal bit for bit; each step can be undone,
 * so that a lost or doubled write stays visible.
 *
 * Scalar 0: bits 0-2 the task's active subtask slots, bit 3 INOUT is written
 * without being read, bit 4 NO_DEP is written like INOUT, not read like INPUT,
 * bits 8-23 microseconds to spin first. OUTPUT_EXISTING is written without being
 * read.
 *
 * A task's parts are the blocks of its subtasks. Part r of n writes the elements
 * whose index in the view is r modulo n, and reads INPUT tensors and its own
 * elements only: a task has one result, whichever part runs first.
 *
 * Reference.swift says the same in Swift; neither uses code of the other. */
#include "kernels.h"

#include <string.h>

static const uint8_t sizes[PTO2_DTYPE_COUNT] = {4, 2, 2, 1, 2, 4, 8, 1, 2, 4, 8, 1, 1, 1};

static uint64_t mix(uint64_t z) {
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

/* Walks a view in row-major order. */
typedef struct {
    const pto2_tensor *tensor;
    uint32_t index[PTO2_MAX_RANK];
    int64_t at; /* elements from the first one */
} walk;

static void next(walk *w) {
    for (int d = (int)w->tensor->rank - 1; d >= 0; d--) {
        w->at += w->tensor->strides[d];
        if (++w->index[d] < w->tensor->shape[d]) return;
        w->at -= (int64_t)w->tensor->strides[d] * w->tensor->shape[d];
        w->index[d] = 0;
    }
}

static int is_read(const pto2_tensor *t, uint64_t control) {
    return t->access == PTO2_INPUT || (t->access == PTO2_NO_DEP && !(control & 16));
}

static void run(const pto2_kernel_args *args, uint64_t salt) {
    const uint64_t control = args->scalar[0];
    if (control >> 8 & 0xFFFF) spin(control >> 8 & 0xFFFF);
    const uint32_t active = control & 7;
    const uint32_t count = (uint32_t)__builtin_popcount(active) * args->block_count;
    const uint32_t rank = (uint32_t)__builtin_popcount(active & ((1u << args->slot) - 1));
    const uint32_t part = rank * args->block_count + args->block_index;

    uint64_t hash = mix(salt + args->slot + 1000 * (uint64_t)args->block_index);
    for (uint32_t k = 0; k < args->tensor_count; k++) {
        const pto2_tensor *t = &args->tensor[k];
        if (!is_read(t, control)) continue;
        const uint32_t size = sizes[t->dtype];
        walk w = {.tensor = t};
        for (uint32_t i = 0; i < t->element_count; i++, next(&w)) {
            uint64_t x = 0;
            memcpy(&x, (const char *)args->data[k] + w.at * size, size);
            hash = (hash ^ x) * 0x100000001B3u;
            hash ^= hash >> 29;
        }
    }
    for (uint32_t k = 1; k < args->scalar_count; k++) hash = mix(hash + args->scalar[k]);

    for (uint32_t k = 0; k < args->tensor_count; k++) {
        const pto2_tensor *t = &args->tensor[k];
        if (is_read(t, control)) continue;
        const int reads =
            (t->access == PTO2_INOUT && !(control & 8)) || t->access == PTO2_NO_DEP;
        const uint32_t size = sizes[t->dtype];
        walk w = {.tensor = t};
        for (uint32_t i = 0; i < t->element_count; i++, next(&w)) {
            if (i % count != part) continue;
            char *p = (char *)args->data[k] + w.at * size;
            uint64_t x = 0;
            if (reads) memcpy(&x, p, size);
            x = x * 6364136223846793005u + mix(hash + i * 0x9E3779B97F4A7C15u + k);
            memcpy(p, &x, size);
        }
    }
}

void random_aic_a(const pto2_kernel_args *args) { run(args, 100); }
void random_aic_b(const pto2_kernel_args *args) { run(args, 200); }
void random_aiv_a(const pto2_kernel_args *args) { run(args, 300); }
void random_aiv_b(const pto2_kernel_args *args) { run(args, 400); }
