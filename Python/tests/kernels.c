/* Kernels of the tests of the Python package. */
#include "pto2_kernel.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static int64_t at(const pto2_tensor *t, const uint32_t *index) {
    int64_t place = 0;
    for (uint32_t d = 0; d < t->rank; d++) place += (int64_t)index[d] * t->strides[d];
    return place;
}

static int next(const pto2_tensor *t, uint32_t *index) {
    for (uint32_t d = t->rank; d-- > 0;) {
        if (++index[d] < t->shape[d]) return 1;
        index[d] = 0;
    }
    return 0;
}

/* Tensors: 0 a, 1 b (in), 2 out, f32 of one shape, any strides. out = a + b. */
static void add(const pto2_kernel_args *args) {
    const float *a = args->data[0], *b = args->data[1];
    float *out = args->data[2];
    uint32_t i[PTO2_MAX_RANK] = {0};
    if (args->tensor[2].element_count == 0) return;
    do {
        out[at(&args->tensor[2], i)] = a[at(&args->tensor[0], i)] + b[at(&args->tensor[1], i)];
    } while (next(&args->tensor[2], i));
}

/* Tensor 0: f32, in place, any strides; scalar 0: a float. x = x * scalar. */
static void scale(const pto2_kernel_args *args) {
    float *x = args->data[0];
    uint32_t i[PTO2_MAX_RANK] = {0};
    do {
        x[at(&args->tensor[0], i)] *= pto2_scalar_f32(args, 0);
    } while (next(&args->tensor[0], i));
}

/* Tensor 0: f32 (in), 1: f32 (out, contiguous). A copy, whatever the strides are. */
static void copy(const pto2_kernel_args *args) {
    const float *from = args->data[0];
    float *to = args->data[1];
    uint32_t i[PTO2_MAX_RANK] = {0};
    uint32_t n = 0;
    if (args->tensor[0].element_count == 0) return;
    do {
        to[n++] = from[at(&args->tensor[0], i)];
    } while (next(&args->tensor[0], i));
}

/* Tensor 0: u8 (in), 1: u8 (out): any contiguous bytes. */
static void bytes(const pto2_kernel_args *args) {
    const uint32_t sizes[] = {4, 2, 2, 1, 2, 4, 8, 1, 2, 4, 8};
    memcpy(args->data[1], args->data[0],
           (size_t)args->tensor[0].element_count * sizes[args->tensor[0].dtype]);
}

/* Tensor 0: u64, out; scalars. Writes the scalars. */
static void scalars(const pto2_kernel_args *args) {
    uint64_t *out = args->data[0];
    for (uint32_t i = 0; i < args->scalar_count; i++) out[i] = args->scalar[i];
}

/* Tensor 0: i32, in place; every block writes its number + 1. */
static void block(const pto2_kernel_args *args) {
    int32_t *out = args->data[0];
    out[args->block_index] = (int32_t)args->block_index + 1;
}

/* Tensor 0: i32, in place; appends scalar 0: [0] counts, the rest is the list. */
static void append(const pto2_kernel_args *args) {
    int32_t *list = args->data[0];
    list[++list[0]] = (int32_t)args->scalar[0];
}

/* Tensor 0: i32 of 3, in place: each place of a mixed task writes its own. */
static void mark(const pto2_kernel_args *args) {
    int32_t *out = args->data[0];
    out[args->slot] = 1 + (int32_t)args->slot;
}

/* Sleeps scalar 0 milliseconds, then adds 1 to the elements of tensor 0, f32, if there is one. */
static void nap(const pto2_kernel_args *args) {
    const int64_t ms = (int64_t)args->scalar[0];
    struct timespec left = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&left, &left)) {}
    if (args->tensor_count == 0) return;
    float *x = args->data[0];
    for (uint32_t i = 0; i < args->tensor[0].element_count; i++) x[i] += 1;
}

/* Sleeps scalar 0 milliseconds, then sets element 0 of tensor 0, f32, to 41. */
static void late(const pto2_kernel_args *args) {
    const int64_t ms = (int64_t)args->scalar[0];
    struct timespec left = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&left, &left)) {}
    *(float *)args->data[0] = 41;
}

/* Sets element 0 of tensor 0, f32, in place, and sleeps scalar 0 milliseconds. */
static void hold(const pto2_kernel_args *args) {
    *(volatile float *)args->data[0] = 1;
    const int64_t ms = (int64_t)args->scalar[0];
    struct timespec left = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&left, &left)) {}
}

/* Sleeps until element 0 of tensor 0, f32, is not 0, scalar 0 milliseconds at most, then adds 1. */
static void until(const pto2_kernel_args *args) {
    volatile float *x = args->data[0];
    for (int64_t left = (int64_t)args->scalar[0]; *x == 0 && left > 0; left--) usleep(1000);
    *x += 1;
}

/* Until its process is killed. */
static void endless(const pto2_kernel_args *args) {
    (void)args;
    for (;;) sleep(1);
}

static void crash(const pto2_kernel_args *args) {
    (void)args;
    abort();
}

static void nothing(const pto2_kernel_args *args) { (void)args; }

PTO2_KERNELS({"add", add, PTO2_AIV}, {"scale", scale, PTO2_AIV}, {"copy", copy, PTO2_AIV},
             {"bytes", bytes, PTO2_AIV}, {"scalars", scalars, PTO2_AIV},
             {"block", block, PTO2_AIV}, {"append", append, PTO2_AIV}, {"mark", mark, PTO2_AIV},
             {"mark_aic", mark, PTO2_AIC}, {"nap", nap, PTO2_AIV}, {"late", late, PTO2_AIV},
             {"hold", hold, PTO2_AIV}, {"until", until, PTO2_AIV}, {"endless", endless, PTO2_AIV},
             {"crash", crash, PTO2_AIV}, {"nothing", nothing, PTO2_AIV})
