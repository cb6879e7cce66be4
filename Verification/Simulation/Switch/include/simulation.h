/* What the role modules call in a simulation, and the coroutines it runs them
 * on. One OS thread; no system call on the way from one role to another. */
#ifndef PTO2_SIMULATION_H
#define PTO2_SIMULATION_H

#include <stdint.h>

/* ---- hooks: the roles' side ---------------------------------------------- */

#define SIM_LOAD 0
#define SIM_STORE 1
#define SIM_ADD 2
#define SIM_EXCHANGE 3
#define SIM_COMPARE_EXCHANGE 4
#define SIM_OR 5
#define SIM_DATA_LOAD 6  /* a kernel's access to a tensor */
#define SIM_DATA_STORE 7
#define SIM_WAIT 8
#define SIM_WAKE 9
#define SIM_PAUSE 10
#define SIM_SLEEP 11
#define SIM_AFTER 12     /* behind a store, before what follows it */

typedef struct sim_hooks {
    /* Before a shared access: other roles may perform theirs first. */
    void (*access)(int32_t kind, uintptr_t address, uint64_t value);
    /* After a store or a read-modify-write: likewise. */
    void (*done)(void);
    /* futex_waitv and FUTEX_WAKE. */
    void (*wait)(const uint32_t *const *words, const uint32_t *expected, uint32_t count,
                 int64_t timeout_nanoseconds);
    void (*wake)(uintptr_t address);
    void (*pause)(void);
    void (*sleep)(uint64_t nanoseconds);
    /* _exit: does not return. */
    void (*exit)(int32_t status);
    int32_t (*has_ended)(int32_t pid);
    /* A kernel begins, or ends. */
    void (*kernel)(int32_t ends, uint32_t task, uint32_t slot, uint32_t block);
} sim_hooks;

/* Null while no role runs: then accesses are just performed. */
extern const sim_hooks *sim_active;
/* The process that the running role belongs to. */
extern int32_t sim_process;
/* Nanoseconds of virtual time. */
extern uint64_t sim_time;
/* Rounds of spinning and of yielding before a role parks. */
extern uint32_t sim_spins;

static inline void sim_access(int32_t kind, const void *address, uint64_t value) {
    if (sim_active) sim_active->access(kind, (uintptr_t)address, value);
}
static inline void sim_done(void) {
    if (sim_active) sim_active->done();
}
static inline void sim_wait(const uint32_t *const *words, const uint32_t *expected,
                            uint32_t count, int64_t timeout_nanoseconds) {
    if (sim_active) sim_active->wait(words, expected, count, timeout_nanoseconds);
}
static inline void sim_wake(const void *address) {
    if (sim_active) sim_active->wake((uintptr_t)address);
}
static inline void sim_pause(void) {
    if (sim_active) sim_active->pause();
}
static inline void sim_sleep(uint64_t nanoseconds) {
    if (sim_active) sim_active->sleep(nanoseconds);
    else sim_time += nanoseconds;
}
static inline void sim_exit(int32_t status) {
    if (sim_active) sim_active->exit(status);
}
static inline int32_t sim_has_ended(int32_t pid) {
    return sim_active ? sim_active->has_ended(pid) : 0;
}
static inline uint64_t sim_now(void) { return sim_time; }
static inline int32_t sim_pid(void) { return sim_process; }
static inline uint32_t sim_spin_rounds(void) { return sim_spins; }

/* ---- the simulator's side ------------------------------------------------ */

static inline void sim_activate(const sim_hooks *hooks) { sim_active = hooks; }
static inline void sim_set_now(uint64_t nanoseconds) { sim_time = nanoseconds; }
static inline void sim_set_pid(int32_t pid) { sim_process = pid; }
static inline void sim_set_spins(uint32_t rounds) { sim_spins = rounds; }

/* Memory of the one segment there is, zero up to `bytes`. */
void *sim_memory(uint32_t object, uint64_t bytes);

/* Stores the functions that kernels call into their image's two variables. */
void sim_connect_kernels(const void *access_variable, const void *phase_variable);

#define SIM_COROUTINES 64

/* Segments at most: one a rank. */
#define SIM_OBJECTS 4
/* Gives coroutine `index` (not 0: that is the caller's own stack) a stack on
 * which the first switch to it calls entry(index). entry never returns. */
void sim_prepare(int32_t index, void (*entry)(int32_t index));
/* Goes on where `to` left off. */
void sim_switch(int32_t from, int32_t to);
/* Calls `handler` on SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGFPE and SIGABRT. It may
 * switch to another coroutine and not come back. */
void sim_catch_traps(void (*handler)(int32_t signal, uintptr_t address));

/* fork(2), with a pipe from the child: the end to write in the child, the end to read in
 * the parent. The child dies with its parent. -1 and errno on failure. */
int32_t sim_fork(int32_t *output);

/* 32-bit word at an address, for looks that are no step. */
static inline uint32_t sim_peek(uintptr_t address) { return *(const volatile uint32_t *)address; }
static inline uint64_t sim_peek64(uintptr_t address) { return *(const volatile uint64_t *)address; }

#endif
