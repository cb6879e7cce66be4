/* Kernels that take liberties. All are AIC, so with one cluster every task runs on
 * aic0, in the order of submission; each has one INOUT tensor of 1024 uint32. */
#include "pto2_kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <fenv.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define U ((volatile uint32_t *)args->data[0])
#define K(name) static void name(__attribute__((unused)) const pto2_kernel_args *args)

K(count) { U[0]++; }

/* ---- floating point: what the kernels before have left ------------------ */

#if defined(__x86_64__)
static uint32_t control(void) { return __builtin_ia32_stmxcsr() & ~0x3Fu; }
static uint32_t control_before(void) {
    uint16_t word;
    __asm__ volatile("fnstcw %0" : "=m"(word));
    return word;
}
static uint32_t flags(void) {
    uint64_t word;
    __asm__ volatile("pushfq; popq %0" : "=r"(word));
    return (uint32_t)word & 0x40400; /* AC and DF */
}
K(flush) { __builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() | 0x8040); }
K(short_x87) {
    const uint16_t word = 0x007F; /* 24 bits, all masked */
    __asm__ volatile("fldcw %0" : : "m"(word));
}
K(full_x87) { /* MMX without emms: the x87 stack counts as full */
    __asm__ volatile("movd %0, %%mm0" : : "r"(7) : "memory");
}
K(backwards) { __asm__ volatile("std"); }
static double extended(void) {
    volatile long double one = 1, three = 3;
    return (double)(one / three);
}
#else
static uint32_t control(void) { return 0; }
static uint32_t control_before(void) { return 0; }
static uint32_t flags(void) { return 0; }
K(flush) {}
K(short_x87) {}
K(full_x87) {}
K(backwards) {}
static double extended(void) { return 1.0 / 3.0; }
#endif
K(round_up) { fesetround(FE_UPWARD); }
K(trap_fp) { feenableexcept(FE_DIVBYZERO | FE_INVALID); }
K(divide) {
    volatile float zero = 0, one = 1, q = one / zero;
    U[1] = q > 0;
}
K(look) {
    volatile float tiny = 1e-40f, one = 1;
    U[0]++;
    U[2] = tiny * one != 0;
    U[3] = control();
    U[4] = control_before();
    U[5] = flags();
    U[6] = (uint32_t)fegetround();
    U[7] = extended() > 0.33 && extended() < 0.34;
}

/* ---- what belongs to the process ----------------------------------------- */

K(leave_dir) {
    if (chdir("/")) _exit(99);
    umask(0777);
}
K(timer) { alarm(1); }
K(ask_for_trace) { ptrace(PTRACE_TRACEME, 0, 0, 0); }
K(block_all) {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
}
K(default_segv) {
    signal(SIGSEGV, SIG_DFL);
    signal(SIGPIPE, SIG_DFL);
}
K(close_all) {
    for (int fd = 3; fd < 256; fd++) close(fd);
}
K(few_files) {
    struct rlimit limit = {5, 5}; /* as many as the loader needs */
    setrlimit(RLIMIT_NOFILE, &limit);
}
/* Clears what would end it with its orchestrator, and does not return. */
K(outlive) {
    prctl(PR_SET_PDEATHSIG, 0);
    for (;;) U[1]++;
}
K(hang) {
    for (;;) sched_yield();
}

/* ---- harm on purpose ------------------------------------------------------ */

/* Where the mapping of the segment begins, which `address` lies in, and its path. */
static uintptr_t segment_of(const void *address, char path[256]) {
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512], found[256] = "", name[256];
    uintptr_t begin, end, first = 0;
    unsigned long inode;
    for (int pass = 0; maps && pass < 2; pass++) {
        rewind(maps);
        while (fgets(line, sizeof line, maps)) {
            name[0] = 0;
            if (sscanf(line, "%lx-%lx %*s %*s %*s %lu %255s", &begin, &end, &inode, name) < 3)
                continue;
            if (pass == 0 && (uintptr_t)address - begin < end - begin) strcpy(found, name);
            if (pass == 1 && !first && found[0] && !strcmp(found, name)) first = begin;
        }
    }
    if (maps) fclose(maps);
    strcpy(path, found);
    return first;
}
static uint32_t opened(const char *path) {
    const int fd = open(path, O_RDWR);
    if (fd < 0) return (uint32_t)errno;
    close(fd);
    return 0;
}
/* Each way to what others write, tried without doing it; 0: it is open. */
K(forge) {
    char path[256], name[64];
    struct stat mine, other;
    const uintptr_t begin = segment_of((const void *)U, path);
    char byte = 0;
    const struct iovec from = {&byte, 1}, to = {NULL, 1};
    U[0]++;
    U[1] = mprotect((void *)begin, 4096, PROT_READ | PROT_WRITE) ? (uint32_t)errno : 0;
    U[2] = 0;
    U[7] = 999;
    if (stat(path, &mine)) return;
    for (int fd = 3; fd < 256; fd++) {
        if (fstat(fd, &other) || other.st_ino != mine.st_ino) continue;
        if ((fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY) U[2] = U[2] + 1;
        snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
        U[7] = opened(name);
    }
    U[3] = opened(path);
    process_vm_writev(getppid(), &from, 1, &to, 1, 0);
    U[4] = (uint32_t)errno;
    snprintf(name, sizeof name, "/proc/%d/mem", (int)getppid());
    U[5] = opened(name);
    /* No such process: what counts is whether the call is let through. */
    U[6] = ptrace(PTRACE_SEIZE, 0x3FFFFFFF, 0, 0) ? (uint32_t)errno : 0;
}

/* ---- output and input ------------------------------------------------------ */

K(print) {
    for (int i = 0; i < 4000; i++) printf("kernel line %d, fifty or so bytes long in all\n", i);
    fflush(stdout);
    U[0]++;
}
static char letters[65536];
K(talk) { /* write(2), as a logging library does */
    for (size_t i = 0; i < sizeof letters; i++) letters[i] = i % 64 == 63 ? '\n' : 'x';
    for (int fd = 1; fd <= 2; fd++)
        for (int i = 0; i < 4; i++)
            if (write(fd, letters, sizeof letters) < 0) break;
    U[0]++;
}
K(read_input) {
    U[1] = getchar() != EOF;
    U[0]++;
}
K(descriptors) { /* what stands behind 0, 1 and 2, and what is writable above */
    struct stat status;
    U[1] = 0;
    for (int fd = 0; fd < 3; fd++) U[1] += fstat(fd, &status) == 0;
    U[0]++;
}

/* ---- ends that are no crash ------------------------------------------------- */

K(exit_0) { exit(0); }
K(exit_45) { _exit(45); }
K(end_thread) { pthread_exit(NULL); }
K(run_false) { execl("/bin/false", "false", (char *)NULL); }

/* ---- crashes ------------------------------------------------------------------ */

K(null_store) { *(volatile int *)8 = 1; }
static void *crash(void *p) {
    *(volatile int *)8 = 1;
    return p;
}
K(thread_crash) {
    pthread_t thread;
    pthread_create(&thread, NULL, crash, NULL);
    pthread_join(thread, NULL);
}
static __attribute__((noinline)) int down(volatile char *above, int depth) {
    volatile char frame[4096];
    frame[0] = above[0];
    if (depth == 1 << 30) return 0;
    const int below = down(frame, depth + 1);
    return below + frame[0];
}
K(overflow) {
    volatile char first = 1;
    U[1] = (uint32_t)down(&first, 0);
}
K(six_megabytes) {
    volatile char space[6 << 20];
    for (size_t i = 0; i < sizeof space; i += 4096) space[i] = 1;
    U[0] += space[4096];
}

/* ---- children ------------------------------------------------------------------ */

K(fork_on) { /* both go on */
    U[0]++;
    (void)!fork();
}
K(fork_sleep) {
    U[0]++;
    if (fork() == 0) {
        sleep(600);
        _exit(0);
    }
}
K(run_true) { U[0] += system("true") == 0; }

/* Something is to be done with this image when its process ends. */
static volatile int is_over;
__attribute__((destructor)) static void end(void) { is_over = 1; }

#define E(name) {#name, name, PTO2_AIC}
PTO2_KERNELS(E(count), E(flush), E(short_x87), E(full_x87), E(backwards), E(round_up),
             E(trap_fp), E(divide), E(look), E(leave_dir), E(timer), E(block_all),
             E(default_segv), E(ask_for_trace), E(close_all), E(few_files), E(outlive), E(hang),
             E(print), E(talk), E(read_input), E(descriptors), E(exit_0), E(exit_45),
             E(end_thread), E(run_false), E(null_store), E(thread_crash), E(overflow),
             E(six_megabytes), E(fork_on), E(fork_sleep), E(run_true), E(forge))
