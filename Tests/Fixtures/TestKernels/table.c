#include "kernels.h"

#include <time.h>

int64_t now_nanoseconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

void spin(uint64_t microseconds) {
    const int64_t end = now_nanoseconds() + (int64_t)microseconds * 1000;
    while (now_nanoseconds() < end) {}
}

PTO2_KERNELS({"t_empty", t_empty, PTO2_AIV}, {"t_empty_aic", t_empty, PTO2_AIC},
             {"t_add", t_add, PTO2_AIV}, {"t_add_aic", t_add, PTO2_AIC},
             {"t_set", t_set, PTO2_AIV}, {"t_copy", t_copy, PTO2_AIV},
             {"t_mark", t_mark, PTO2_AIV}, {"t_mark_aic", t_mark, PTO2_AIC},
             {"t_sum", t_sum, PTO2_AIV}, {"t_crash", t_crash, PTO2_AIV},
             {"t_block", t_block, PTO2_AIV}, {"t_block_aic", t_block, PTO2_AIC},
             {"t_cell", t_cell, PTO2_AIV}, {"t_rendezvous", t_rendezvous, PTO2_AIV},
             {"t_meet", t_meet, PTO2_AIV}, {"t_gather", t_gather, PTO2_AIV},
             {"t_wild_store", t_wild_store, PTO2_AIV}, {"t_section", t_section, PTO2_AIV},
             {"t_scribble", t_scribble, PTO2_AIV}, {"t_scribble_aic", t_scribble, PTO2_AIC},
             {"c_fill", c_fill, PTO2_AIV}, {"c_fill_aic", c_fill, PTO2_AIC},
             {"c_check", c_check, PTO2_AIV}, {"c_step", c_step, PTO2_AIV},
             {"c_step_aic", c_step, PTO2_AIC}, {"c_ticket", c_ticket, PTO2_AIV},
             {"c_ticket_aic", c_ticket, PTO2_AIC}, {"c_sleep", c_sleep, PTO2_AIV},
             {"c_crash", c_crash, PTO2_AIV}, {"c_walk", c_walk, PTO2_AIV},
             {"c_walk_aic", c_walk, PTO2_AIC}, {"c_halfway", c_halfway, PTO2_AIV},
             {"c_fold", c_fold, PTO2_AIV}, {"c_machine", c_machine, PTO2_AIC},
             {"c_mix", c_mix, PTO2_AIV}, {"c_mix_aic", c_mix, PTO2_AIC},
             {"c_place", c_place, PTO2_AIV}, {"c_place_aic", c_place, PTO2_AIC},
             {"c_block", c_block, PTO2_AIV}, {"c_block_aic", c_block, PTO2_AIC},
             {"c_meet", c_meet, PTO2_AIV}, {"c_meet_aic", c_meet, PTO2_AIC},
             {"k_sum", k_sum, PTO2_AIV}, {"k_sum_aic", k_sum, PTO2_AIC},
             {"k_step", k_step, PTO2_AIV}, {"k_step_aic", k_step, PTO2_AIC},
             {"random_aic_a", random_aic_a, PTO2_AIC}, {"random_aic_b", random_aic_b, PTO2_AIC},
             {"random_aiv_a", random_aiv_a, PTO2_AIV}, {"random_aiv_b", random_aiv_b, PTO2_AIV})
