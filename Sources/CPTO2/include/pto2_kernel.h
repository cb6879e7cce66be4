/* What a kernel image includes. A kernel image is a shared object of C
 * functions with one exported table:
 *
 *     #include "pto2_kernel.h"
 *     static void add(const pto2_kernel_args *args) {
 *         const float *a = args->data[0], *b = args->data[1];
 *         float *out = args->data[2];
 *         for (uint32_t i = 0; i < args->tensor[2].element_count; i++)
 *             out[i] = a[i] + b[i];
 *     }
 *     PTO2_KERNELS({"add", add, PTO2_AIV})
 *
 *     cc -shared -fPIC -O2 -Wl,--build-id -o libadd.so add.c
 *
 * Workers load the image with dlopen(RTLD_NOW | RTLD_LOCAL) and call only the
 * functions in its table. Kernels of one process may run on several threads.
 */
#ifndef PTO2_KERNEL_H
#define PTO2_KERNEL_H

#include "pto2.h"

/* The version of the kernel table, apart from those of the program table and of the
 * segment: a compiled image serves as long as this one stays. */
#define PTO2_KERNEL_MAJOR 1

/* One call of a kernel. Everything is read-only but the data of OUTPUT and
 * INOUT tensors; all of it is valid until the kernel returns. */
typedef struct pto2_kernel_args {
    void *const *data;         /* first element of each tensor, this process */
    const pto2_tensor *tensor; /* shape, strides, dtype of each tensor */
    const uint64_t *scalar;    /* raw bits; see pto2_scalar_f32 */
    uint32_t tensor_count;
    uint32_t scalar_count;
    uint32_t slot;             /* 0 AIC, 1 AIV0, 2 AIV1 */
    uint32_t core;             /* 3 * cluster + slot of the core running it */
    uint32_t block_index;      /* SPMD: 0 ..< block_count; otherwise 0 of 1 */
    uint32_t block_count;
} pto2_kernel_args;

typedef void (*pto2_kernel_function)(const pto2_kernel_args *args);

typedef struct pto2_kernel_entry {
    const char *name; /* at most 47 bytes, unique over all images of a run */
    pto2_kernel_function function;
    uint32_t core_type; /* PTO2_AIC or PTO2_AIV */
} pto2_kernel_entry;

#define PTO2_KERNEL_TABLE_MAGIC 0x324B5450u
typedef struct pto2_kernel_table {
    uint32_t magic;
    uint32_t major; /* PTO2_KERNEL_MAJOR */
    uint64_t count;
    const pto2_kernel_entry *entries;
} pto2_kernel_table;

#define PTO2_KERNEL_TABLE_SYMBOL "pto2_kernel_table_v1"

#ifdef __cplusplus
#define PTO2_KERNEL_EXPORT extern "C" __attribute__((visibility("default")))
#else
#define PTO2_KERNEL_EXPORT __attribute__((visibility("default")))
#endif

/* PTO2_KERNELS({name, function, core type}, ...): the image's one table. */
#define PTO2_KERNELS(...)                                                   \
    static const pto2_kernel_entry pto2_kernel_entries_[] = {__VA_ARGS__};  \
    PTO2_KERNEL_EXPORT const pto2_kernel_table pto2_kernel_table_v1 = {     \
        PTO2_KERNEL_TABLE_MAGIC, PTO2_KERNEL_MAJOR,                         \
        sizeof pto2_kernel_entries_ / sizeof pto2_kernel_entries_[0],       \
        pto2_kernel_entries_};

static inline float pto2_scalar_f32(const pto2_kernel_args *args, uint32_t index) {
    union { uint32_t bits; float value; } u;
    u.bits = (uint32_t)args->scalar[index];
    return u.value;
}

/* bfloat16 is the upper half of a float; rounding is to nearest, ties to even. */
static inline float pto2_bf16_to_f32(uint16_t bits) {
    union { uint32_t bits; float value; } u;
    u.bits = (uint32_t)bits << 16;
    return u.value;
}

static inline uint16_t pto2_f32_to_bf16(float value) {
    union { uint32_t bits; float value; } u;
    u.value = value;
    if ((u.bits & 0x7FFFFFFFu) > 0x7F800000u) return (uint16_t)(u.bits >> 16 | 0x40);
    return (uint16_t)((u.bits + 0x7FFFu + (u.bits >> 16 & 1u)) >> 16);
}

#endif
