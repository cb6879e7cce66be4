/* Kernels that tests are made of: they count, wait, record, and crash. */
#include "kernels.h"
#include "pto2_segment.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Does nothing. */
void t_empty(const pto2_kernel_args *args) { (void)args; }

/* 0 int64 [n] inout: adds scalar 0 to each; scalar 1: microseconds to wait
 * between reading and writing. */
void t_add(const pto2_kernel_args *args) {
    int64_t *x = args->data[0];
    for (uint32_t i = 0; i < args->tensor[0].element_count; i++) {
        int64_t old = x[i];
        spin(args->scalar[1]);
        x[i] = old + (int64_t)args->scalar[0];
    }
}

/* 0 int64 [1] inout: becomes scalar 0, after scalar 1 microseconds. */
void t_set(const pto2_kernel_args *args) {
    spin(args->scalar[1]);
    *(int64_t *)args->data[0] = (int64_t)args->scalar[0];
}

/* 0 int64 [1] in, 1 int64 [1] inout: copies after scalar 0 microseconds. */
void t_copy(const pto2_kernel_args *args) {
    spin(args->scalar[0]);
    *(int64_t *)args->data[1] = *(const int64_t *)args->data[0];
}

/* 0 int64 [3] inout: adds 1 to the element of its subtask slot. */
void t_mark(const pto2_kernel_args *args) { ((int64_t *)args->data[0])[args->slot] += 1; }

/* 0 int64 [n] in, 1 int64 [1] out: the sum. Strides are respected. */
void t_sum(const pto2_kernel_args *args) {
    const pto2_tensor *t = &args->tensor[0];
    const int64_t *x = args->data[0];
    int64_t sum = 0;
    for (uint32_t i = 0; i < t->shape[0]; i++) sum += x[(int64_t)i * t->strides[0]];
    *(int64_t *)args->data[1] = sum;
}

/* 0 any view in, 1 contiguous, of the same type and count: copies, row-major. */
void t_gather(const pto2_kernel_args *args) {
    static const uint32_t sizes[PTO2_DTYPE_COUNT] = {4, 2, 2, 1, 2, 4, 8, 1, 2, 4, 8, 1, 1, 1};
    const pto2_tensor *t = &args->tensor[0];
    const uint32_t size = sizes[t->dtype];
    for (uint32_t i = 0; i < t->element_count; i++) {
        uint32_t rest = i;
        int64_t at = 0;
        for (int d = t->rank - 1; d >= 0; d--) {
            at += (int64_t)(rest % t->shape[d]) * t->strides[d];
            rest /= t->shape[d];
        }
        memcpy((char *)args->data[1] + i * size, (const char *)args->data[0] + at * size, size);
    }
}

/* 0 int64 [blocks, 3] inout: adds 1 + block_count to the element of this block
 * and slot. */
void t_block(const pto2_kernel_args *args) {
    int64_t *x = args->data[0];
    spin(args->scalar[1]);
    x[3 * (int64_t)args->block_index + args->slot] += 1 + args->block_count;
}

/* 0 int64 [1], 1 int64 [blocks], both no dependency: every block arrives at the
 * counter and waits for the others; its element becomes 1 if all came. Blocks
 * that do not run at the same time wait for 10 s in vain. */
void t_rendezvous(const pto2_kernel_args *args) {
    _Atomic int64_t *arrived = args->data[0];
    int64_t deadline = now_nanoseconds() + 10000000000ll;
    atomic_fetch_add(arrived, 1);
    while (atomic_load(arrived) < args->block_count && now_nanoseconds() < deadline) sched_yield();
    ((int64_t *)args->data[1])[args->block_index] = atomic_load(arrived) >= args->block_count;
}

/* 0 int64 [n, n] no dependency: element (scalar 0) = 1 + the larger of those
 * above and to the left. */
void t_cell(const pto2_kernel_args *args) {
    int64_t *x = args->data[0];
    uint32_t n = args->tensor[0].shape[1];
    uint64_t i = args->scalar[0] / n, j = args->scalar[0] % n;
    int64_t up = i ? x[(i - 1) * n + j] : 0, left = j ? x[i * n + j - 1] : 0;
    x[i * n + j] = 1 + (up > left ? up : left);
}

/* 0 int64 [n] any: counts itself in element 0 and waits until scalar 0 tasks
 * have; element (scalar 1) becomes 1 if they came within 10 s. */
void t_meet(const pto2_kernel_args *args) {
    _Atomic int64_t *arrived = args->data[0];
    int64_t count = (int64_t)args->scalar[0];
    int64_t deadline = now_nanoseconds() + 10000000000ll;
    atomic_fetch_add(arrived, 1);
    while (atomic_load(arrived) < count && now_nanoseconds() < deadline) sched_yield();
    ((int64_t *)args->data[0])[args->scalar[1]] = atomic_load(arrived) >= count;
}

/* Raises signal number scalar 0. */
void t_crash(const pto2_kernel_args *args) { raise((int)args->scalar[0]); }

/* Stores to the segment's first tensor's page minus scalar 0 bytes: protocol
 * sections lie before the heap. */
void t_wild_store(const pto2_kernel_args *args) {
    *(volatile char *)((char *)args->data[0] - args->scalar[0]) = 1;
}

static uint64_t core_stride(const pto2_header *header, const pto2_section *section) {
    return section->bytes / (PTO2_CORES_PER_CLUSTER * header->configuration.clusters);
}

/* 0 int64 [1] inout: becomes 1; then a store into the section that scalar 0 names,
 * found in the header; of the core pages, into that of another core. */
void t_section(const pto2_kernel_args *args) {
    char *base = (char *)args->data[0] - args->tensor[0].offset;
    const pto2_header *header = (const pto2_header *)base;
    *(volatile int64_t *)args->data[0] = 1;
    for (uint32_t i = 0; i < header->section_count; i++) {
        const pto2_section *section = &header->sections[i];
        if (section->kind != args->scalar[0]) continue;
        uint64_t offset = section->offset + 72;
        if (section->kind == PTO2_SECTION_CORES) {
            uint64_t stride = core_stride(header, section);
            offset += (args->core == 0 ? 1 : 0) * stride;
        }
        *(volatile uint32_t *)(base + offset) = 0xDEADBEEFu;
        return;
    }
}

/* 0 int64 [1] no dependency: counts the runs. The first scalar 1 runs spoil the page
 * of their core, and wait to be killed: scalar 0 = 0 the COND words, else all of it
 * with zeros (1) or ones (2). */
void t_scribble(const pto2_kernel_args *args) {
    char *base = (char *)args->data[0] - args->tensor[0].offset;
    const pto2_header *header = (const pto2_header *)base;
    uint64_t run = (uint64_t)atomic_fetch_add((_Atomic int64_t *)args->data[0], 1);
    if (run >= args->scalar[1]) return;
    for (uint32_t i = 0; i < header->section_count; i++) {
        const pto2_section *section = &header->sections[i];
        if (section->kind != PTO2_SECTION_CORES) continue;
        uint64_t stride = core_stride(header, section);
        volatile uint32_t *page = (void *)(base + section->offset + args->core * stride);
        uint64_t words = args->scalar[0] ? stride / 4 : PTO2_MAX_LANES;
        for (uint64_t w = 0; w < words; w++)
            page[w] = args->scalar[0] == 0 ? 0xDEADBEEFu : args->scalar[0] == 1 ? 0 : 0xFFFFFFFFu;
    }
    struct timespec t = {.tv_sec = 25};
    nanosleep(&t, NULL);
}
