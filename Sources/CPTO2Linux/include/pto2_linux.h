/* Shims for what Swift's Glibc import cannot reach: variadic `syscall`, calls
 * that need _GNU_SOURCE, signal handlers, and instructions. One that stands for a
 * system call returns its result, or the negated errno. */
#ifndef PTO2_LINUX_H
#define PTO2_LINUX_H

#include <stddef.h>
#include <stdint.h>

/* Where the executables lie that belong to an installation in a prefix: what the package
 * that it has for Swift programs defines; NULL without one. */
const char *pto2_executables_of_prefix(void);

/* futex(2) FUTEX_WAKE; returns the number of woken threads. */
int pto2_futex_wake(const uint32_t *word, int count);

/* futex_waitv(2), Linux 5.16: sleeps until one of `count` (1 to 128) words
 * differs from its expected value, is woken, or the timeout passes. -ENOSYS on
 * older kernels. */
int pto2_futex_waitv(const uint32_t *const *words, const uint32_t *expected,
                     uint32_t count, int64_t timeout_nanoseconds);

/* sched_getcpu(3): the CPU that the caller runs on. A load, where Linux has rseq(2). */
int pto2_current_cpu(void);

/* sched_getaffinity(2), which returns how many bytes it has filled, and
 * sched_setaffinity(2) of the calling thread: a bit per CPU, `words` of 64. */
int pto2_get_affinity(uint64_t *mask, uint32_t words);
int pto2_set_affinity(const uint64_t *mask, uint32_t words);

/* pidfd_open(2), Linux 5.3. The descriptor is close-on-exec. */
int pto2_pidfd_open(int32_t pid);

/* pidfd_send_signal(2), Linux 5.1. */
int pto2_pidfd_send_signal(int pidfd, int signal);

/* fcntl(2) F_OFD_SETLK of one byte; type is F_RDLCK, F_WRLCK or F_UNLCK.
 * -EAGAIN when another open file description holds a conflicting lock. */
int pto2_lock_byte(int fd, int64_t byte, int type);

/* 1 when an exclusive lock of that byte would conflict, 0 when it would not. */
int pto2_byte_is_locked(int fd, int64_t byte);

/* prctl(2) PR_SET_PDEATHSIG. */
int pto2_set_parent_death_signal(int signal);

/* prctl(2) PR_SET_PTRACER: where Yama restricts ptrace, that process may trace
 * this one. */
void pto2_allow_tracer(int32_t pid);

/* madvise(2) MADV_POPULATE_WRITE, Linux 5.14: maps the pages ahead of use. */
int pto2_populate_write(void *address, size_t bytes);

/* posix_spawn(3) of `path`: own process group, empty signal mask, default
 * dispositions. Returns 0 and the pid, or the negated errno. */
int pto2_spawn(const char *path, char *const *argv, char *const *envp, int32_t *pid);

/* signalfd(2) for SIGINT, SIGTERM and SIGHUP, which it blocks in the caller
 * and the threads the caller starts later. Close-on-exec, non-blocking. */
int pto2_signal_descriptor(void);

/* Closes that descriptor and unblocks its signals in the caller. */
void pto2_release_signals(int fd);

/* Reads one signal number from that descriptor; 0 when there is none. */
int pto2_read_signal(int fd);

/* Ignores SIGPIPE and SIGINT: for supervised children, whose parent decides. */
void pto2_ignore_terminal_signals(void);

/* clock_gettime(2) CLOCK_MONOTONIC, in nanoseconds. */
uint64_t pto2_monotonic_nanoseconds(void);

/* The load bias, file path and NT_GNU_BUILD_ID of the loaded object that
 * contains `address`. `identity_length` is 0 when it has no build id. */
typedef struct pto2_loaded_object {
    uint64_t base;
    uint64_t code_begin; /* executable range of the object */
    uint64_t code_end;
    uint32_t identity_length;
    uint8_t identity[32];
    char path[1024];
} pto2_loaded_object;
int pto2_find_object(const void *address, pto2_loaded_object *out);

/* Tells the core that this is a spin-wait loop. */
static inline void pto2_cpu_relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory");
#endif
}

/* What a crashing thread leaves: pto2_crash_record of the ABI. */
typedef struct pto2_crash {
    uint32_t signal; /* stored last, with release; 0 = none */
    uint32_t code;   /* siginfo si_code */
    uint64_t address; /* siginfo si_addr */
    uint64_t offset;  /* of the address from `base`; all ones when outside */
    uint32_t access;  /* 0 not known, 1 load, 2 store, 3 call */
    uint32_t reserved;
} pto2_crash;

/* For the calling thread: on SIGSEGV, SIGBUS, SIGILL, SIGFPE or SIGABRT writes
 * the record, on a stack of its own, and then dies of the signal as ever. `base`
 * and `bytes`: the mapped segment. */
void pto2_record_crashes(pto2_crash *record, const void *base, uint64_t bytes);

/* What a process does when it touches a part of its segment that is gone because
 * the object was made smaller: writes `output` and `error` (each three pieces, with
 * the offset after the first and the section's name after the second; NULL: nothing),
 * removes `path` if it still names the object (NULL: not), and _exits. */
typedef struct pto2_truncation {
    const void *base;
    uint64_t bytes;
    int32_t fd;
    int32_t status;
    uint32_t sections;
    const uint64_t *offsets;  /* ascending, from 0 */
    const char *const *names; /* of the sections */
    const char *error[3];
    const char *output[3];
    const char *path;
} pto2_truncation;

/* Copies everything. One segment a process; the latest counts. */
int pto2_watch_truncation(const pto2_truncation *wanted);
void pto2_end_truncation_watch(void);

/* memfd_create(2), close-on-exec, not executable, mode 0600. */
int pto2_memfd(const char *label);

/* fcntl(2) F_ADD_SEALS: its size never changes again. */
int pto2_seal_size(int fd);

/* fallocate(2) FALLOC_FL_KEEP_SIZE: an object that somebody made smaller does not
 * grow again, with zeros in it. */
int pto2_reserve(int fd, uint64_t offset, uint64_t bytes);

/* Calls `function` with `argument`: a kernel found in an image's table. */
static inline void pto2_call(uintptr_t function, const void *argument) {
    ((void (*)(const void *))function)(argument);
}

#endif
