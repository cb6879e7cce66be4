#include "bench_raw.h"

#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

int bench_hogs_start(int count, pid_t *pids) {
    const pid_t parent = getpid();
    for (int hog = 0; hog < count; hog++) {
        pids[hog] = fork();
        if (pids[hog] < 0) return hog;
        if (pids[hog] > 0) continue;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) _exit(1);
        for (;;) __asm__ volatile("");
    }
    return count;
}

void bench_hogs_stop(int count, const pid_t *pids) {
    for (int hog = 0; hog < count; hog++) kill(pids[hog], SIGKILL);
    for (int hog = 0; hog < count; hog++) waitpid(pids[hog], NULL, 0);
}

pid_t bench_start(const char *path, char *const argv[]) {
    pid_t pid;
    return posix_spawn(&pid, path, NULL, NULL, argv, environ) == 0 ? pid : -1;
}

void bench_reap(pid_t pid, double limit_seconds) {
    uint64_t deadline = bench_nanoseconds() + (uint64_t)(limit_seconds * 1e9);
    while (waitpid(pid, NULL, WNOHANG) == 0) {
        if (bench_nanoseconds() > deadline) {
            kill(pid, SIGKILL);
            waitpid(pid, NULL, 0);
            return;
        }
        usleep(1000);
    }
}
