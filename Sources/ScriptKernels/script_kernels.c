/* The kernels that every script has; docs/scripts.md describes them. They take every type and
 * any strides, and count in doubles or in 64-bit whole numbers that wrap: a result is rounded
 * once, when it is stored. Each block does its share of the elements.
 *
 * The kernels of a task with several take their tensors one after another, AIC first: a last
 * scalar says where each begins. */
#include "pto2_kernel.h"

#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#define PLACES_MARK 0x5C41u

typedef union number {
    double real;
    int64_t whole;
} number;

typedef struct call {
    const pto2_kernel_args *args;
    uint32_t tensor; /* of the first one that is this kernel's */
    uint32_t scalar;
} call;

static call call_of(const pto2_kernel_args *args) {
    call c = {args, 0, 0};
    if (args->scalar_count == 0) return c;
    const uint64_t last = args->scalar[args->scalar_count - 1];
    if (last >> 48 != PLACES_MARK) return c;
    c.tensor = last >> 16 * args->slot & 0xFF;
    c.scalar = last >> (16 * args->slot + 8) & 0xFF;
    return c;
}

static const pto2_tensor *tensor(const call *c, uint32_t index) {
    return &c->args->tensor[c->tensor + index];
}

static int is_real(const pto2_tensor *t) {
    return t->dtype <= PTO2_BFLOAT16 || t->dtype == PTO2_FLOAT8_E4M3FN ||
           t->dtype == PTO2_FLOAT8_E5M2;
}

/* Where the element at a row-major place is. */
static char *element(const call *c, uint32_t index, uint32_t place) {
    static const uint8_t sizes[PTO2_DTYPE_COUNT] = {4, 2, 2, 1, 2, 4, 8, 1, 2, 4, 8, 1, 1, 1};
    const pto2_tensor *t = tensor(c, index);
    int64_t offset = 0;
    for (uint32_t d = t->rank; d-- > 0;) {
        offset += (int64_t)(place % t->shape[d]) * t->strides[d];
        place /= t->shape[d];
    }
    return (char *)c->args->data[c->tensor + index] + offset * sizes[t->dtype];
}

static number load(const call *c, uint32_t index, uint32_t place) {
    const void *p = element(c, index, place);
    switch (tensor(c, index)->dtype) {
    case PTO2_FLOAT32: return (number){.real = *(const float *)p};
    case PTO2_FLOAT16: return (number){.real = *(const _Float16 *)p};
    case PTO2_BFLOAT16: return (number){.real = pto2_bf16_to_f32(*(const uint16_t *)p)};
    case PTO2_FLOAT8_E4M3FN: return (number){.real = pto2_e4m3_to_f32(*(const uint8_t *)p)};
    case PTO2_FLOAT8_E5M2: return (number){.real = pto2_e5m2_to_f32(*(const uint8_t *)p)};
    case PTO2_BOOL: return (number){.whole = *(const uint8_t *)p != 0};
    case PTO2_INT8: return (number){.whole = *(const int8_t *)p};
    case PTO2_INT16: return (number){.whole = *(const int16_t *)p};
    case PTO2_INT32: return (number){.whole = *(const int32_t *)p};
    case PTO2_UINT8: return (number){.whole = *(const uint8_t *)p};
    case PTO2_UINT16: return (number){.whole = *(const uint16_t *)p};
    case PTO2_UINT32: return (number){.whole = *(const uint32_t *)p};
    default: return (number){.whole = *(const int64_t *)p};
    }
}

/* A float from which a narrower type is rounded as from the double itself. */
static float odd(double value) {
    float near = (float)value;
    uint32_t bits;
    memcpy(&bits, &near, sizeof bits);
    if ((bits & 0x7F800000u) != 0x7F800000u && (double)near != value) {
        /* Rounded to odd, it is no tie by accident. */
        const double magnitude = value < 0 ? -value : value;
        const double found = near < 0 ? -(double)near : (double)near;
        if (found > magnitude) bits -= 1;
        bits |= 1;
    }
    memcpy(&near, &bits, sizeof bits);
    return near;
}

static void store(const call *c, uint32_t index, uint32_t place, number value) {
    void *p = element(c, index, place);
    switch (tensor(c, index)->dtype) {
    case PTO2_FLOAT32: *(float *)p = (float)value.real; break;
    case PTO2_FLOAT16: *(_Float16 *)p = (_Float16)value.real; break;
    case PTO2_BFLOAT16: *(uint16_t *)p = pto2_f32_to_bf16(odd(value.real)); break;
    case PTO2_FLOAT8_E4M3FN: *(uint8_t *)p = pto2_f32_to_e4m3(odd(value.real)); break;
    case PTO2_FLOAT8_E5M2: *(uint8_t *)p = pto2_f32_to_e5m2(odd(value.real)); break;
    case PTO2_BOOL: *(uint8_t *)p = value.whole != 0; break;
    case PTO2_INT8:
    case PTO2_UINT8: *(uint8_t *)p = (uint8_t)value.whole; break;
    case PTO2_INT16:
    case PTO2_UINT16: *(uint16_t *)p = (uint16_t)value.whole; break;
    case PTO2_INT32:
    case PTO2_UINT32: *(uint32_t *)p = (uint32_t)value.whole; break;
    default: *(int64_t *)p = value.whole; break;
    }
}

static number scalar(const call *c, uint32_t index) {
    number value;
    memcpy(&value, &c->args->scalar[c->scalar + index], sizeof value);
    return value;
}

static number plus(const pto2_tensor *t, number a, number b) {
    if (is_real(t)) return (number){.real = a.real + b.real};
    return (number){.whole = (int64_t)((uint64_t)a.whole + (uint64_t)b.whole)};
}

static number times(const pto2_tensor *t, number a, number b) {
    if (is_real(t)) return (number){.real = a.real * b.real};
    return (number){.whole = (int64_t)((uint64_t)a.whole * (uint64_t)b.whole)};
}

/* This block's share of a tensor's elements. */
#define FOR_SHARE(c, index, i)                                                                \
    for (uint32_t i = (uint32_t)((uint64_t)tensor(c, index)->element_count *                  \
                                 (c)->args->block_index / (c)->args->block_count);            \
         i < (uint32_t)((uint64_t)tensor(c, index)->element_count *                           \
                        ((c)->args->block_index + 1) / (c)->args->block_count);               \
         i++)

static void copy_elements(const call *c) {
    FOR_SHARE(c, 1, i) store(c, 1, i, load(c, 0, i));
}

static void k_copy(const pto2_kernel_args *args) {
    const call c = call_of(args);
    copy_elements(&c);
}

static void k_add(const pto2_kernel_args *args) {
    const call c = call_of(args);
    FOR_SHARE(&c, 2, i) store(&c, 2, i, plus(tensor(&c, 2), load(&c, 0, i), load(&c, 1, i)));
}

static void k_multiply(const pto2_kernel_args *args) {
    const call c = call_of(args);
    FOR_SHARE(&c, 2, i) store(&c, 2, i, times(tensor(&c, 2), load(&c, 0, i), load(&c, 1, i)));
}

static void k_scale(const pto2_kernel_args *args) {
    const call c = call_of(args);
    FOR_SHARE(&c, 1, i) store(&c, 1, i, times(tensor(&c, 1), load(&c, 0, i), scalar(&c, 0)));
}

static void k_fill(const pto2_kernel_args *args) {
    const call c = call_of(args);
    FOR_SHARE(&c, 0, i) store(&c, 0, i, scalar(&c, 0));
}

static void k_increase(const pto2_kernel_args *args) {
    const call c = call_of(args);
    FOR_SHARE(&c, 0, i) store(&c, 0, i, plus(tensor(&c, 0), load(&c, 0, i), scalar(&c, 0)));
}

static void k_accumulate(const pto2_kernel_args *args) {
    const call c = call_of(args);
    FOR_SHARE(&c, 1, i) store(&c, 1, i, plus(tensor(&c, 1), load(&c, 1, i), load(&c, 0, i)));
}

/* One after another, by the first block. */
static void k_sum(const pto2_kernel_args *args) {
    const call c = call_of(args);
    if (args->block_index > 0 || tensor(&c, 1)->element_count == 0) return;
    number sum = is_real(tensor(&c, 1)) ? (number){.real = 0} : (number){.whole = 0};
    for (uint32_t i = 0; i < tensor(&c, 0)->element_count; i++)
        sum = plus(tensor(&c, 1), sum, load(&c, 0, i));
    store(&c, 1, 0, sum);
}

static void mark_elements(const call *c) {
    const pto2_tensor *t = tensor(c, 0);
    const uint32_t block = c->args->block_index;
    const number own = is_real(t) ? (number){.real = block} : (number){.whole = block};
    FOR_SHARE(c, 0, i) store(c, 0, i, plus(t, scalar(c, 0), own));
}

static void k_mark(const pto2_kernel_args *args) {
    const call c = call_of(args);
    mark_elements(&c);
}

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

/* Every block waits until all are there; one that waits for 20 s gives up. */
static void k_meet(const pto2_kernel_args *args) {
    const call c = call_of(args);
    int32_t *marker = (int32_t *)element(&c, 1, 0);
    __atomic_fetch_add(marker, 1, __ATOMIC_SEQ_CST);
    const int64_t end = now() + 20000000000ll;
    while (__atomic_load_n(marker, __ATOMIC_SEQ_CST) < (int32_t)args->block_count)
        if (now() > end) abort();
    mark_elements(&c);
}

static void copy_if_any(const call *c) {
    const uint32_t count = c->args->tensor_count;
    if (count >= c->tensor + 2 && tensor(c, 0)->dtype == tensor(c, 1)->dtype &&
        tensor(c, 0)->element_count == tensor(c, 1)->element_count &&
        tensor(c, 1)->access != PTO2_INPUT)
        copy_elements(c);
}

static void k_spin(const pto2_kernel_args *args) {
    const call c = call_of(args);
    const int64_t end = now() + scalar(&c, 0).whole * 1000;
    while (now() < end) {}
    copy_if_any(&c);
}

static void k_sleep(const pto2_kernel_args *args) {
    const call c = call_of(args);
    const int64_t microseconds = scalar(&c, 0).whole;
    struct timespec pause = {microseconds / 1000000, microseconds % 1000000 * 1000};
    while (nanosleep(&pause, &pause) != 0) {}
    copy_if_any(&c);
}

static void k_crash(const pto2_kernel_args *args) {
    (void)args;
    int *volatile nowhere = NULL;
    *(volatile int *)nowhere = 1;
}

static void k_fail(const pto2_kernel_args *args) {
    (void)args;
    abort();
}

/* Its worker is killed so often as the scalar says; then it copies. */
static void k_stumble(const pto2_kernel_args *args) {
    const call c = call_of(args);
    int32_t *marker = (int32_t *)element(&c, 2, 0);
    if (__atomic_load_n(marker, __ATOMIC_SEQ_CST) < scalar(&c, 0).whole) {
        __atomic_fetch_add(marker, 1, __ATOMIC_SEQ_CST);
        raise(SIGKILL);
    }
    copy_elements(&c);
}

#define BOTH(name)                                                                            \
    {"script_" #name, k_##name, PTO2_AIV}, {"script_" #name "_aic", k_##name, PTO2_AIC}

PTO2_KERNELS(BOTH(copy), BOTH(add), BOTH(multiply), BOTH(scale), BOTH(fill), BOTH(increase),
             BOTH(accumulate), BOTH(sum), BOTH(mark), BOTH(meet), BOTH(spin), BOTH(sleep),
             BOTH(crash), BOTH(fail), BOTH(stumble))
