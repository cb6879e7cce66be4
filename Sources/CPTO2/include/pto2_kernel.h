/* What a kernel image includes. A kernel image is a shared object of C
 * functions with one exported table:
 *
 *     #include "pto2_kernel.h"
 *     static void add(const pto2_kernel_args *args) {
 *         const float *a = (const float *)args->data[0];
 *         const float *b = (const float *)args->data[1];
 *         float *out = (float *)args->data[2];
 *         for (uint32_t i = 0; i < args->tensor[2].element_count; i++)
 *             out[i] = a[i] + b[i];
 *     }
 *     PTO2_KERNELS({"add", add, PTO2_AIV})
 *
 *     cc -shared -fPIC -O2 -Wl,--build-id $(pkg-config --cflags pto2) -o libadd.so add.c
 *
 * Workers load the image with dlopen(RTLD_NOW | RTLD_LOCAL) and call only the
 * functions in its table. Kernels of one process may run on several threads.
 */
#ifndef PTO2_KERNEL_H
#define PTO2_KERNEL_H

#include "pto2.h"

#include <string.h>

PTO2_BEGIN_C

/* The version of the kernel table, apart from those of the program table and of the
 * segment: a compiled image serves as long as this one stays. Members are only ever
 * added at the end of pto2_kernel_args; the table says which of them the image knows. */
#define PTO2_KERNEL_MAJOR 2

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
    uint32_t cluster_count;    /* of the session: one AIC and two AIV each */
    uint32_t core_count;       /* 3 * cluster_count */
    const void *constants;     /* of the session, read-only; NULL when it has none */
    uint64_t constant_bytes;
} pto2_kernel_args;

#define PTO2_KERNEL_ARGS_FIELDS(F, T)                                               \
    F(T, data, 0) F(T, tensor, 8) F(T, scalar, 16) F(T, tensor_count, 24)           \
    F(T, scalar_count, 28) F(T, slot, 32) F(T, core, 36) F(T, block_index, 40)      \
    F(T, block_count, 44) F(T, cluster_count, 48) F(T, core_count, 52)              \
    F(T, constants, 56) F(T, constant_bytes, 64)
PTO2_ASSERT_LAYOUT(pto2_kernel_args, PTO2_KERNEL_ARGS_FIELDS, 72);

typedef void (*pto2_kernel_function)(const pto2_kernel_args *args);

/* Runs once on every core before its first kernel, and again on a core whose worker was
 * started anew. No tensors, no scalars; slot, core, counts and constants are there. Cores
 * may share a process. Anything but 0 is error 205, which names image, core and number. */
typedef int32_t (*pto2_init_function)(const pto2_kernel_args *args);

typedef struct pto2_kernel_entry {
    const char *name; /* at most 47 bytes, unique over all images of a run */
    pto2_kernel_function function;
    pto2_core_type core_type; /* or PTO2_ANY_CORE; four bytes of padding follow */
} pto2_kernel_entry;

#define PTO2_KERNEL_ENTRY_FIELDS(F, T) F(T, name, 0) F(T, function, 8) F(T, core_type, 16)
PTO2_ASSERT_LAYOUT(pto2_kernel_entry, PTO2_KERNEL_ENTRY_FIELDS, 24);

/* What an image exports: PTO2_KERNELS makes it. */
#define PTO2_KERNEL_TABLE_MAGIC 0x324B5450u
typedef struct pto2_kernel_table {
    uint32_t magic;
    uint32_t major;       /* PTO2_KERNEL_MAJOR */
    uint32_t bytes;       /* of this table */
    uint32_t entry_bytes; /* of an entry */
    uint32_t args_bytes;  /* of what its kernels take for pto2_kernel_args */
    uint32_t count;
    const pto2_kernel_entry *entries;
    pto2_init_function initializer; /* NULL when there is none */
} pto2_kernel_table;

#define PTO2_KERNEL_TABLE_FIELDS(F, T)                                      \
    F(T, magic, 0) F(T, major, 4) F(T, bytes, 8) F(T, entry_bytes, 12)      \
    F(T, args_bytes, 16) F(T, count, 20) F(T, entries, 24) F(T, initializer, 32)
PTO2_ASSERT_LAYOUT(pto2_kernel_table, PTO2_KERNEL_TABLE_FIELDS, 40);

#define PTO2_KERNEL_TABLE_SYMBOL "pto2_kernel_table_v2"

/* The initialiser of a table of so many entries. */
#define PTO2_KERNEL_TABLE_INIT(count, entries, init)                                \
    {PTO2_KERNEL_TABLE_MAGIC, PTO2_KERNEL_MAJOR, sizeof(pto2_kernel_table),         \
     sizeof(pto2_kernel_entry), sizeof(pto2_kernel_args), (count), (entries), (init)}
#define PTO2_KERNEL_TABLE(count, entries) PTO2_KERNEL_TABLE_INIT(count, entries, 0)

/* PTO2_KERNELS({name, function, core type}, ...): the image's one table. */
#define PTO2_KERNELS(...) PTO2_KERNELS_INIT(0, __VA_ARGS__)

/* The same of an image with a pto2_init_function. */
#define PTO2_KERNELS_INIT(init, ...)                                                \
    static const pto2_kernel_entry pto2_kernel_entries_[] = {__VA_ARGS__};          \
    PTO2_BEGIN_C                                                                    \
    extern PTO2_EXPORT const pto2_kernel_table pto2_kernel_table_v2;                \
    const pto2_kernel_table pto2_kernel_table_v2 = PTO2_KERNEL_TABLE_INIT(          \
        sizeof pto2_kernel_entries_ / sizeof pto2_kernel_entries_[0],               \
        pto2_kernel_entries_, init);                                                \
    PTO2_END_C

/* A scalar that the program gave as a float. */
static inline float pto2_scalar_f32(const pto2_kernel_args *args, uint32_t index) {
    const uint32_t bits = (uint32_t)args->scalar[index];
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* bfloat16 is the upper half of a float; rounding is to nearest, ties to even. */
static inline float pto2_bf16_to_f32(uint16_t bits) {
    const uint32_t wide = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &wide, sizeof value);
    return value;
}

static inline uint16_t pto2_f32_to_bf16(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
}

/* 8-bit floats as OCP has them; to nearest, ties to even, in the default rounding mode.
 * E4M3 (E4M3FN) has no infinity: what rounds to more than 448 is NaN. */
static inline float pto2_e4m3_to_f32(uint8_t bits) {
    const uint32_t exponent = bits >> 3 & 15u, fraction = bits & 7u;
    uint32_t wide;
    float value = (float)fraction / 512.0f;
    memcpy(&wide, &value, sizeof wide);
    if (exponent > 0) wide = (exponent + 120) << 23 | fraction << 20;
    if ((bits & 0x7Fu) == 0x7Fu) wide = 0x7FC00000u;
    wide |= (uint32_t)(bits & 0x80u) << 24;
    memcpy(&value, &wide, sizeof value);
    return value;
}

/* |value| in steps of the least number of a type, where `magic` is 2^23 of them. */
static inline uint32_t pto2_small_steps_(uint32_t magnitude, float magic) {
    uint32_t bits, zero;
    float value;
    memcpy(&zero, &magic, sizeof zero);
    memcpy(&value, &magnitude, sizeof value);
    value += magic;
    memcpy(&bits, &value, sizeof bits);
    return bits - zero;
}

static inline uint8_t pto2_f32_to_e4m3(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    const uint32_t sign = bits >> 24 & 0x80u, magnitude = bits & 0x7FFFFFFFu;
    if (magnitude > 0x43E80000u) return (uint8_t)(sign | 0x7Fu); /* beyond 464, or NaN */
    if (magnitude < 0x3C800000u) /* 2^-6 */
        return (uint8_t)(sign | pto2_small_steps_(magnitude, 16384.0f));
    return (uint8_t)(sign | (magnitude - (120u << 23) + 0x7FFFFu + (magnitude >> 20 & 1u)) >> 20);
}

/* E5M2 is the upper half of an IEEE 754 binary16. */
static inline float pto2_e5m2_to_f32(uint8_t bits) {
    const uint32_t exponent = bits >> 2 & 31u, fraction = bits & 3u;
    uint32_t wide;
    float value = (float)fraction / 65536.0f;
    memcpy(&wide, &value, sizeof wide);
    if (exponent > 0) wide = (exponent + 112) << 23 | fraction << 21;
    if (exponent == 31) wide = 0x7F800000u | (fraction ? 0x400000u : 0);
    wide |= (uint32_t)(bits & 0x80u) << 24;
    memcpy(&value, &wide, sizeof value);
    return value;
}

static inline uint8_t pto2_f32_to_e5m2(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    const uint32_t sign = bits >> 24 & 0x80u, magnitude = bits & 0x7FFFFFFFu;
    if (magnitude > 0x7F800000u) return (uint8_t)(sign | 0x7Eu);
    if (magnitude >= 0x47700000u) return (uint8_t)(sign | 0x7Cu); /* from 61440 on */
    if (magnitude < 0x38800000u) /* 2^-14 */
        return (uint8_t)(sign | pto2_small_steps_(magnitude, 128.0f));
    return (uint8_t)(sign | (magnitude - (112u << 23) + 0xFFFFFu + (magnitude >> 21 & 1u)) >> 21);
}

PTO2_END_C

#endif
