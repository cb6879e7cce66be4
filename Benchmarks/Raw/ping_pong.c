#include "bench_raw.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 100, MAX_BATCHES = 1024 };

/* One writer per line. */
struct shared_page {
    _Alignas(128) atomic_uint ping;
    _Alignas(128) atomic_uint pong;
    _Alignas(128) uint32_t batches;
    uint64_t nanoseconds[MAX_BATCHES];
};

uint64_t bench_nanoseconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void pin(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    /* Where there is one CPU only, or none of that number, it runs anywhere. */
    (void)sched_setaffinity(0, sizeof set, &set);
}

/* However busy the machine is, one batch is waited for. */
enum { FIRST_BATCH_SECONDS = 240 };

/* False when the deadline passed first. */
static int spin_until(const struct shared_page *page, atomic_uint *word, uint32_t value,
                      uint64_t deadline) {
    for (uint32_t round = 1; atomic_load_explicit(word, memory_order_acquire) != value; round++) {
        __builtin_ia32_pause();
        if ((round & 4095) != 0) continue;
        const uint64_t extra = page->batches > 0 ? 0 : FIRST_BATCH_SECONDS * 1000000000ull;
        if (bench_nanoseconds() > deadline + extra) return 0;
        sched_yield(); /* the other side may have to run here */
    }
    return 1;
}

static void ping(struct shared_page *page, uint32_t batches, uint64_t deadline) {
    uint32_t value = 0;
    for (uint32_t batch = 0; batch < batches; batch++) {
        uint64_t begin = bench_nanoseconds();
        for (int trip = 0; trip < BATCH; trip++) {
            atomic_store_explicit(&page->ping, ++value, memory_order_release);
            if (!spin_until(page, &page->pong, value, deadline)) return;
        }
        page->nanoseconds[batch] = bench_nanoseconds() - begin;
        page->batches = batch + 1;
    }
}

static void pong(struct shared_page *page, uint32_t batches, uint64_t deadline) {
    for (uint32_t value = 1; value <= batches * BATCH; value++) {
        if (!spin_until(page, &page->ping, value, deadline)) return;
        atomic_store_explicit(&page->pong, value, memory_order_release);
    }
}

static int ascending(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

double bench_ping_pong(uint32_t round_trips, double limit_seconds) {
    uint32_t batches = round_trips / BATCH;
    if (batches < 1) batches = 1;
    if (batches > MAX_BATCHES) batches = MAX_BATCHES;
    struct shared_page *page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE,
                                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) return -1;
    uint64_t deadline = bench_nanoseconds() + (uint64_t)(limit_seconds * 1e9);
    const pid_t parent = getpid();
    pid_t pids[2];
    for (int side = 0; side < 2; side++) {
        pids[side] = fork();
        if (pids[side] != 0) continue;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) _exit(1);
        pin(side);
        if (side == 0) ping(page, batches, deadline);
        else pong(page, batches, deadline);
        _exit(0);
    }
    for (int side = 0; side < 2; side++)
        if (pids[side] > 0) waitpid(pids[side], NULL, 0);
    double microseconds = -1;
    if (page->batches > 0) {
        qsort(page->nanoseconds, page->batches, sizeof page->nanoseconds[0], ascending);
        microseconds = (double)page->nanoseconds[page->batches / 2] / (1000.0 * BATCH);
    }
    munmap(page, sizeof *page);
    return microseconds;
}
