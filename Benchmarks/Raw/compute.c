#include "bench_raw.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_PROCESSES = 64 };

struct shared_counts {
    atomic_uint ready;
    uint64_t rounds[MAX_PROCESSES];
};

/* Multiplications and additions in registers, so many rounds of them until the time is over. */
static uint64_t compute(uint64_t end) {
    typedef double vector __attribute__((vector_size(16)));
    vector x[8];
    for (int i = 0; i < 8; i++) x[i] = (vector){-0.25 - i / 64.0, -0.26 - i / 64.0};
    uint64_t rounds = 0;
    while (bench_nanoseconds() < end) {
        for (int step = 0; step < 500; step++) {
#pragma GCC unroll 8
            for (int i = 0; i < 8; i++) x[i] = x[i] * x[i] + x[i];
        }
        for (int i = 0; i < 8; i++) __asm__ volatile("" : "+x"(x[i]));
        rounds++;
    }
    return rounds;
}

double bench_compute_rate(int processes, double seconds) {
    if (processes > MAX_PROCESSES) processes = MAX_PROCESSES;
    struct shared_counts *page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE,
                                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) return -1;
    const pid_t parent = getpid();
    const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    pid_t pids[MAX_PROCESSES];
    uint64_t deadline = bench_nanoseconds() + 1000000000u;
    for (int index = 0; index < processes; index++) {
        pids[index] = fork();
        if (pids[index] != 0) continue;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) _exit(1);
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET((int)(index % cpus), &set);
        (void)sched_setaffinity(0, sizeof set, &set);
        atomic_fetch_add(&page->ready, 1);
        while (atomic_load(&page->ready) < (unsigned)processes && bench_nanoseconds() < deadline) {}
        page->rounds[index] = compute(bench_nanoseconds() + (uint64_t)(seconds * 1e9));
        _exit(0);
    }
    uint64_t rounds = 0;
    for (int index = 0; index < processes; index++) {
        if (pids[index] > 0) waitpid(pids[index], NULL, 0);
        rounds += page->rounds[index];
    }
    munmap(page, sizeof *page);
    return (double)rounds / seconds;
}
