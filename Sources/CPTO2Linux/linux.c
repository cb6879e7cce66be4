#include "pto2_linux.h"
#include "truncation.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* Kernel ABI of futex_waitv; older <linux/futex.h> lacks it. */
struct waitv_entry {
    uint64_t value;
    uint64_t address;
    uint32_t flags;
    uint32_t reserved;
};
#define WAITV_SIZE_U32 2u
#define WAITV_MAX 128u

static int result(long value) { return value < 0 ? -errno : (int)value; }

int pto2_futex_wake(const uint32_t *word, int count) {
    return result(syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0));
}

int pto2_futex_waitv(const uint32_t *const *words, const uint32_t *expected,
                     uint32_t count, int64_t timeout_nanoseconds) {
    struct waitv_entry entries[WAITV_MAX];
    if (count == 0 || count > WAITV_MAX) return -EINVAL;
    for (uint32_t i = 0; i < count; i++)
        entries[i] = (struct waitv_entry){expected[i], (uint64_t)(uintptr_t)words[i],
                                          WAITV_SIZE_U32, 0};
    struct timespec limit, *deadline = NULL;
    if (timeout_nanoseconds >= 0) { /* futex_waitv takes an absolute time */
        clock_gettime(CLOCK_MONOTONIC, &limit);
        limit.tv_sec += timeout_nanoseconds / 1000000000;
        limit.tv_nsec += timeout_nanoseconds % 1000000000;
        if (limit.tv_nsec >= 1000000000) {
            limit.tv_sec += 1;
            limit.tv_nsec -= 1000000000;
        }
        deadline = &limit;
    }
    return result(syscall(SYS_futex_waitv, entries, count, 0, deadline, CLOCK_MONOTONIC));
}

int pto2_current_cpu(void) { return sched_getcpu(); }

int pto2_get_affinity(uint64_t *mask, uint32_t words) {
    memset(mask, 0, words * sizeof *mask);
    return result(syscall(SYS_sched_getaffinity, 0, words * sizeof *mask, mask));
}

int pto2_set_affinity(const uint64_t *mask, uint32_t words) {
    return result(syscall(SYS_sched_setaffinity, 0, words * sizeof *mask, mask));
}

int pto2_pidfd_open(int32_t pid) { return result(syscall(SYS_pidfd_open, pid, 0)); }

int pto2_pidfd_send_signal(int pidfd, int signal) {
    return result(syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0));
}

int pto2_lock_byte(int fd, int64_t byte, int type) {
    struct flock lock = {.l_type = (short)type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    return result(fcntl(fd, F_OFD_SETLK, &lock));
}

int pto2_byte_is_locked(int fd, int64_t byte) {
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    int status = result(fcntl(fd, F_OFD_GETLK, &lock));
    return status < 0 ? status : lock.l_type != F_UNLCK;
}

int pto2_set_parent_death_signal(int signal) { return result(prctl(PR_SET_PDEATHSIG, signal)); }

int pto2_memfd(const char *label) {
    int fd = memfd_create(label, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
    if (fd < 0 && errno == EINVAL) fd = memfd_create(label, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) return -errno;
    if (fchmod(fd, 0600) == 0) return fd;
    int error = errno;
    close(fd);
    return -error;
}

int pto2_seal_size(int fd) {
    return result(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL));
}

int pto2_reserve(int fd, uint64_t offset, uint64_t bytes) {
    return result(fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)bytes));
}
void pto2_allow_tracer(int32_t pid) { prctl(PR_SET_PTRACER, (unsigned long)pid, 0, 0, 0); }

int pto2_populate_write(void *address, size_t bytes) {
    return result(madvise(address, bytes, MADV_POPULATE_WRITE));
}

int pto2_spawn(const char *path, char *const *argv, char *const *envp, int32_t *pid) {
    posix_spawnattr_t attributes;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                              POSIX_SPAWN_SETPGROUP);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setpgroup(&attributes, 0);
    pid_t child = 0;
    int status = posix_spawn(&child, path, NULL, &attributes, argv, envp);
    posix_spawnattr_destroy(&attributes);
    *pid = child;
    return -status;
}

static sigset_t ending_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    return set;
}

void pto2_release_signals(int fd) {
    sigset_t set = ending_signals();
    close(fd);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

int pto2_signal_descriptor(void) {
    sigset_t set = ending_signals();
    int status = pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (status != 0) return -status;
    return result(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

int pto2_read_signal(int fd) {
    struct signalfd_siginfo info;
    return read(fd, &info, sizeof info) == (ssize_t)sizeof info ? (int)info.ssi_signo : 0;
}

void pto2_ignore_terminal_signals(void) {
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_IGN);
}

static uint64_t clock_nanoseconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t pto2_monotonic_nanoseconds(void) { return clock_nanoseconds(CLOCK_MONOTONIC); }

struct search {
    uintptr_t address;
    pto2_loaded_object *out;
};

static void read_build_id(uintptr_t note, size_t bytes, pto2_loaded_object *out) {
    while (bytes >= sizeof(ElfW(Nhdr))) {
        const ElfW(Nhdr) *header = (const void *)note;
        size_t name = (header->n_namesz + 3u) & ~(size_t)3u;
        size_t description = (header->n_descsz + 3u) & ~(size_t)3u;
        size_t total = sizeof *header + name + description;
        if (total > bytes) return;
        if (header->n_type == NT_GNU_BUILD_ID && header->n_namesz == 4 &&
            memcmp(header + 1, "GNU", 4) == 0 && header->n_descsz <= sizeof out->identity) {
            out->identity_length = header->n_descsz;
            memcpy(out->identity, (const char *)(header + 1) + name, header->n_descsz);
            return;
        }
        note += total;
        bytes -= total;
    }
}

static int visit(struct dl_phdr_info *info, size_t size, void *data) {
    (void)size;
    struct search *search = data;
    int inside = 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        uintptr_t begin = info->dlpi_addr + segment->p_vaddr;
        if (segment->p_type == PT_LOAD && search->address >= begin &&
            search->address < begin + segment->p_memsz)
            inside = 1;
    }
    if (!inside) return 0;
    pto2_loaded_object *out = search->out;
    out->base = info->dlpi_addr;
    strncpy(out->path, info->dlpi_name, sizeof out->path - 1);
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        uintptr_t begin = info->dlpi_addr + segment->p_vaddr;
        if (segment->p_type == PT_NOTE) read_build_id(begin, segment->p_memsz, out);
        if (segment->p_type == PT_LOAD && (segment->p_flags & PF_X)) {
            if (out->code_end == 0) out->code_begin = begin;
            out->code_end = begin + segment->p_memsz;
        }
    }
    return 1;
}

int pto2_find_object(const void *address, pto2_loaded_object *out) {
    memset(out, 0, sizeof *out);
    struct search search = {(uintptr_t)address, out};
    return dl_iterate_phdr(visit, &search) == 1 ? 0 : -ENOENT;
}

static _Thread_local pto2_crash *crash_record;
static _Thread_local uint64_t crash_base, crash_bytes;

/* 1 load, 2 store, 3 call, by the processor's error code of a page fault; 0 where
 * that is not known. */
static uint32_t faulting_access(const void *context) {
#if defined(__x86_64__)
    long long error = ((const ucontext_t *)context)->uc_mcontext.gregs[REG_ERR];
    return error & 16 ? 3 : error & 2 ? 2 : 1;
#else
    (void)context;
    return 0;
#endif
}

static void on_crash(int signal, siginfo_t *info, void *context) {
    pto2_crash *record = crash_record;
    if (signal == SIGBUS && pto2_is_truncated(info)) pto2_report_truncation(info);
    if (record) {
        uint64_t address = (uint64_t)(uintptr_t)info->si_addr;
        /* Not one that somebody raised: those have no address. */
        int is_fault = (signal == SIGSEGV || signal == SIGBUS) && info->si_code > 0;
        record->code = (uint32_t)info->si_code;
        record->address = address;
        record->offset = is_fault && address - crash_base < crash_bytes ? address - crash_base
                                                                        : UINT64_MAX;
        record->access = is_fault ? faulting_access(context) : 0;
        __atomic_store_n(&record->signal, (uint32_t)signal, __ATOMIC_RELEASE);
    }
    struct sigaction end = {.sa_handler = SIG_DFL};
    sigaction(signal, &end, NULL);
    raise(signal); /* SA_NODEFER: this ends the process */
}

void pto2_record_crashes(pto2_crash *record, const void *base, uint64_t bytes) {
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
    /* A kernel may have used up its own stack. Never freed: the thread lives as
     * long as its core. */
    stack_t stack = {.ss_size = 64 * 1024};
    stack.ss_sp = malloc(stack.ss_size);
    if (stack.ss_sp) sigaltstack(&stack, NULL);
    crash_record = record;
    crash_base = (uint64_t)(uintptr_t)base;
    crash_bytes = bytes;
    struct sigaction action = {.sa_sigaction = on_crash,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESETHAND | SA_NODEFER};
    sigemptyset(&action.sa_mask);
    for (size_t k = 0; k < sizeof signals / sizeof *signals; k++) {
        /* A truncated segment meets several threads at once: each gets here. */
        if (signals[k] == SIGBUS) action.sa_flags &= ~SA_RESETHAND;
        sigaction(signals[k], &action, NULL);
        action.sa_flags |= SA_RESETHAND;
    }
}

extern const char pto2_installed_executables[] __attribute__((weak));

const char *pto2_executables_of_prefix(void) { return pto2_installed_executables; }
