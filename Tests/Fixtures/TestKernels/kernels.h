/* The one image of the tests and of the tools in Verification/: kernels that count,
 * wait, record and crash. Each .c file says what its kernels do. */
#ifndef TEST_KERNELS_H
#define TEST_KERNELS_H

#include "pto2_kernel.h"

#define HIDDEN __attribute__((visibility("hidden")))

/* CLOCK_MONOTONIC. */
HIDDEN int64_t now_nanoseconds(void);
/* Keeps the CPU busy for so long. */
HIDDEN void spin(uint64_t microseconds);

/* test.c */
HIDDEN void t_empty(const pto2_kernel_args *args);
HIDDEN void t_add(const pto2_kernel_args *args);
HIDDEN void t_set(const pto2_kernel_args *args);
HIDDEN void t_copy(const pto2_kernel_args *args);
HIDDEN void t_mark(const pto2_kernel_args *args);
HIDDEN void t_sum(const pto2_kernel_args *args);
HIDDEN void t_crash(const pto2_kernel_args *args);
HIDDEN void t_block(const pto2_kernel_args *args);
HIDDEN void t_cell(const pto2_kernel_args *args);
HIDDEN void t_rendezvous(const pto2_kernel_args *args);
HIDDEN void t_meet(const pto2_kernel_args *args);
HIDDEN void t_gather(const pto2_kernel_args *args);
HIDDEN void t_wild_store(const pto2_kernel_args *args);
HIDDEN void t_section(const pto2_kernel_args *args);
HIDDEN void t_scribble(const pto2_kernel_args *args);

/* conformance.c */
HIDDEN void c_fill(const pto2_kernel_args *args);
HIDDEN void c_check(const pto2_kernel_args *args);
HIDDEN void c_step(const pto2_kernel_args *args);
HIDDEN void c_ticket(const pto2_kernel_args *args);
HIDDEN void c_sleep(const pto2_kernel_args *args);
HIDDEN void c_crash(const pto2_kernel_args *args);
HIDDEN void c_walk(const pto2_kernel_args *args);
HIDDEN void c_halfway(const pto2_kernel_args *args);
HIDDEN void c_mix(const pto2_kernel_args *args);
HIDDEN void c_machine(const pto2_kernel_args *args);
HIDDEN void c_fold(const pto2_kernel_args *args);
HIDDEN void c_place(const pto2_kernel_args *args);
HIDDEN void c_block(const pto2_kernel_args *args);
HIDDEN void c_meet(const pto2_kernel_args *args);

/* campaign.c */
HIDDEN void k_sum(const pto2_kernel_args *args);
HIDDEN void k_step(const pto2_kernel_args *args);

/* random.c */
HIDDEN void random_aic_a(const pto2_kernel_args *args);
HIDDEN void random_aic_b(const pto2_kernel_args *args);
HIDDEN void random_aiv_a(const pto2_kernel_args *args);
HIDDEN void random_aiv_b(const pto2_kernel_args *args);

#endif
