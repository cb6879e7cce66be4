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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
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

/* sched_setattr(2)'s record; <linux/sched/types.h> does not go together with <sched.h>. */
typedef struct {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
    uint32_t util_min, util_max;
} scheduling;

int pto2_set_slice(uint64_t nanoseconds) {
    scheduling own;
    memset(&own, 0, sizeof own);
    int status = result(syscall(SYS_sched_getattr, 0, &own, sizeof own, 0));
    if (status < 0) return status;
    if (own.policy != SCHED_OTHER) return -EINVAL;
    own.runtime = nanoseconds;
    own.flags &= 1; /* SCHED_FLAG_RESET_ON_FORK */
    return result(syscall(SYS_sched_setattr, 0, &own, 0));
}

int pto2_pidfd_open(int32_t pid) {
    return pto2_above_standard((int)syscall(SYS_pidfd_open, pid, 0));
}

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
    fd = pto2_above_standard(fd);
    if (fd < 0) return fd;
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

int pto2_open_nameless(const char *folder) {
    int fd = pto2_above_standard(open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    if (fd < 0 || fchmod(fd, 0600) == 0) return fd;
    const int error = errno;
    close(fd);
    return -error;
}

int pto2_give_name(int fd, const char *path) {
    char own[32];
    snprintf(own, sizeof own, "/proc/self/fd/%d", fd);
    return result(linkat(AT_FDCWD, own, AT_FDCWD, path, AT_SYMLINK_FOLLOW));
}

int pto2_file_type(const char *path) {
    struct stat status;
    return lstat(path, &status) < 0 ? -errno : (int)(status.st_mode & S_IFMT);
}

uint64_t pto2_limit(int which) {
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
    if (which == PTO2_LIMIT_FILES) getrlimit(RLIMIT_NOFILE, &limit);
    if (which == PTO2_LIMIT_FILE_BYTES) getrlimit(RLIMIT_FSIZE, &limit);
    if (which == PTO2_LIMIT_ADDRESSES) getrlimit(RLIMIT_AS, &limit);
    if (which == PTO2_LIMIT_PROCESSES) getrlimit(RLIMIT_NPROC, &limit);
    if (which == PTO2_LIMIT_DATA) getrlimit(RLIMIT_DATA, &limit);
    return limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : limit.rlim_cur;
}

void pto2_limit_stack(uint64_t bytes) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_STACK, &limit) < 0) return;
    limit.rlim_cur = limit.rlim_max < bytes ? limit.rlim_max : bytes;
    setrlimit(RLIMIT_STACK, &limit);
}

int pto2_flush(void) {
    const int was_lost = ferror(stdout);
    errno = 0;
    const int status = fflush(NULL);
    if (!was_lost && (status == 0 || !ferror(stdout))) return 0;
    return errno && !was_lost ? -errno : -EIO;
}

void pto2_print_lines(void) { setvbuf(stdout, NULL, _IOLBF, BUFSIZ); }

void pto2_allow_tracer(int32_t pid) { prctl(PR_SET_PTRACER, (unsigned long)pid, 0, 0, 0); }

int pto2_populate_write(void *address, size_t bytes) {
    return result(madvise(address, bytes, MADV_POPULATE_WRITE));
}

/* Standard input is empty; both outputs go to `output`, by default standard error. */
static int set_standard(posix_spawn_file_actions_t *actions, int output) {
    static const char nothing[] = "/dev/null";
    int status = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, nothing, O_RDONLY, 0);
    if (output < 0 && fcntl(STDERR_FILENO, F_GETFD) < 0) {
        status |= posix_spawn_file_actions_addopen(actions, STDERR_FILENO, nothing, O_WRONLY, 0);
    } else if (output >= 0) {
        status |= posix_spawn_file_actions_adddup2(actions, output, STDERR_FILENO);
    }
    return status | posix_spawn_file_actions_adddup2(actions, STDERR_FILENO, STDOUT_FILENO);
}

int pto2_spawn(const char *path, char *const *argv, char *const *envp, int output, int32_t *pid) {
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_t actions;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                              POSIX_SPAWN_SETPGROUP);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawn_file_actions_init(&actions);
    pid_t child = 0;
    int status = set_standard(&actions, output);
    if (status == 0) status = posix_spawn(&child, path, &actions, &attributes, argv, envp);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    *pid = child;
    return -status;
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

const char *pto2_executed_path(void) { return (const char *)getauxval(AT_EXECFN); }

int pto2_is_readable(const void *address, size_t bytes) {
    char copy[4096];
    while (bytes > 0) {
        const size_t count = bytes < sizeof copy ? bytes : sizeof copy;
        const struct iovec here = {copy, count}, there = {(void *)(uintptr_t)address, count};
        const ssize_t got = process_vm_readv(getpid(), &here, 1, &there, 1, 0);
        if (got < 0) return errno != EFAULT;
        if ((size_t)got < count) return 0;
        address = (const char *)address + count;
        bytes -= count;
    }
    return 1;
}

extern const char pto2_installed_executables[] __attribute__((weak));

const char *pto2_executables_of_prefix(void) { return pto2_installed_executables; }
