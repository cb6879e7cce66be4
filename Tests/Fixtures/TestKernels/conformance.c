/* Kernels of the conformance suite (docs/testing.md). */
#include "kernels.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

/* 0 int64 [n] out: element i becomes scalar 0 + i. */
void c_fill(const pto2_kernel_args *args) {
    int64_t *x = args->data[0];
    for (uint32_t i = 0; i < args->tensor[0].element_count; i++)
        x[i] = (int64_t)args->scalar[0] + i;
}

/* 0 int64 [n] in, 1 int64 [1] out: 1 if element i is scalar 0 + i for all i. */
void c_check(const pto2_kernel_args *args) {
    const int64_t *x = args->data[0];
    int64_t same = 1;
    for (uint32_t i = 0; i < args->tensor[0].element_count; i++)
        same &= x[i] == (int64_t)args->scalar[0] + i;
    *(int64_t *)args->data[1] = same;
}

/* 0 int64 [n] inout: element i becomes 3 * element + scalar 0 + i, so that no
 * order but the right one gives the same. */
void c_step(const pto2_kernel_args *args) {
    int64_t *x = args->data[0];
    for (uint32_t i = 0; i < args->tensor[0].element_count; i++)
        x[i] = (int64_t)(3 * (uint64_t)x[i] + args->scalar[0] + i);
}

/* 0 int64 [1] no dependency: a counter; 1 int64 [1] out: its value before. */
void c_ticket(const pto2_kernel_args *args) {
    if (args->slot > PTO2_AIC && args->scalar[0]) return; /* one subtask of a mixed task takes it */
    *(int64_t *)args->data[1] = atomic_fetch_add((_Atomic int64_t *)args->data[0], 1);
}

/* 0 and 1 int64 [1] in, 2 int64 [1] out: 3 * (0) + (1) + the lower half of scalar
 * 0, after as many microseconds as the upper half says. Its store is spoilt first,
 * so an attempt that is broken off leaves garbage. */
void c_mix(const pto2_kernel_args *args) {
    const int64_t *a = args->data[0], *b = args->data[1];
    volatile int64_t *out = args->data[2];
    *out = -1;
    spin(args->scalar[0] >> 32);
    *out = (int64_t)(3 * (uint64_t)*a + (uint64_t)*b + (uint32_t)args->scalar[0]);
}

/* 0 and 1 int64 [1] in, 2 int64 [1] inout: 3 * (2) + (0) * (1) + scalar 0. */
void c_fold(const pto2_kernel_args *args) {
    const int64_t *a = args->data[0], *b = args->data[1];
    int64_t *cell = args->data[2];
    *cell = (int64_t)(3 * (uint64_t)*cell + (uint64_t)*a * (uint64_t)*b + args->scalar[0]);
}

/* 0 and 1 int64 [m, n] inout, any strides: element i of tensor t, in index order,
 * becomes 3 * element + t + i + the lower half of scalar 0. Half-way it takes as
 * many microseconds as the upper half says. */
void c_walk(const pto2_kernel_args *args) {
    for (uint32_t t = 0; t < 2; t++) {
        const pto2_tensor *tensor = &args->tensor[t];
        for (uint32_t i = 0; i < tensor->element_count; i++) {
            volatile int64_t *x = (int64_t *)args->data[t] +
                                  i / tensor->shape[1] * (uint32_t)tensor->strides[0] +
                                  i % tensor->shape[1] * (uint32_t)tensor->strides[1];
            *x = (int64_t)(3 * (uint64_t)*x + t + i + (uint32_t)args->scalar[0]);
        }
        if (t == 0) spin(args->scalar[0] >> 32);
    }
}

/* 0 int64 [n] inout, any stride: element i becomes 3 * element + i. 1 int64 [1], said
 * to be an input: counts the attempts. The first is ended by SIGKILL when a third is
 * stored, the second by SIGSEGV when two thirds are. */
void c_halfway(const pto2_kernel_args *args) {
    const int64_t attempt = ++*(volatile int64_t *)args->data[1];
    const uint32_t n = args->tensor[0].element_count;
    for (uint32_t i = 0; i < n; i++) {
        volatile int64_t *x =
            (int64_t *)args->data[0] + i * (uint32_t)args->tensor[0].strides[0];
        *x = (int64_t)(3 * (uint64_t)*x + i);
        if (attempt == 1 && i == n / 3) raise(SIGKILL);
        if (attempt == 2 && i == 2 * n / 3) raise(SIGSEGV);
    }
}

/* 0 int64 [1] in, 1 int64 [blocks, 3] out: the cell of this block and slot becomes
 * 3 * (0) + 5 * block index + slot + scalar 0. Spoilt first, as in c_mix. */
void c_place(const pto2_kernel_args *args) {
    volatile int64_t *cell = (int64_t *)args->data[1] + 3 * (int64_t)args->block_index + args->slot;
    *cell = -1;
    *cell = 3 * *(const int64_t *)args->data[0] + 5 * (int64_t)args->block_index + args->slot +
            (int64_t)args->scalar[0];
}

/* 0 int64 [2] out: clusters and cores of the session. */
void c_machine(const pto2_kernel_args *args) {
    int64_t *counts = args->data[0];
    counts[0] = args->cluster_count;
    counts[1] = args->core_count;
}

/* Crashes the worker that runs it. */
void c_crash(const pto2_kernel_args *args) {
    *(volatile int *)(uintptr_t)(args->scalar[0] & 0) = 1;
}

/* Sleeps scalar 0 milliseconds. */
void c_sleep(const pto2_kernel_args *args) {
    struct timespec t = {.tv_sec = (time_t)(args->scalar[0] / 1000),
                         .tv_nsec = (long)(args->scalar[0] % 1000) * 1000000};
    nanosleep(&t, NULL);
}

/* 0 int64 [blocks, 3] inout: adds block index + block count to the element of
 * this block and slot. */
void c_block(const pto2_kernel_args *args) {
    int64_t *x = args->data[0];
    x[3 * (int64_t)args->block_index + args->slot] += args->block_index + args->block_count;
}

/* 0 int64 [1], 1 int64 [blocks, 3], no dependency: every subtask of every block
 * arrives and waits for scalar 0 of them; 1 if they came within 20 s. */
void c_meet(const pto2_kernel_args *args) {
    _Atomic int64_t *arrived = args->data[0];
    struct timespec pause = {.tv_nsec = 20000};
    atomic_fetch_add(arrived, 1);
    for (int i = 0; i < 300000 && atomic_load(arrived) < (int64_t)args->scalar[0]; i++)
        nanosleep(&pause, NULL);
    ((int64_t *)args->data[1])[3 * (int64_t)args->block_index + args->slot] =
        atomic_load(arrived) >= (int64_t)args->scalar[0];
}
