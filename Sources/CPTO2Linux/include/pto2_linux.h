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

/* What this process executes, as execve(2) was told; NULL when it is not known. */
const char *pto2_executed_path(void);

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

/* sched_setattr(2): the time slice of this thread under SCHED_OTHER, 100 us to 100 ms, in
 * nanoseconds; threads that it starts have it too. Linux before 6.12 changes nothing. */
int pto2_set_slice(uint64_t nanoseconds);

/* pidfd_open(2), Linux 5.3. The descriptor is close-on-exec. */
int pto2_pidfd_open(int32_t pid);

/* pidfd_send_signal(2), Linux 5.1. */
int pto2_pidfd_send_signal(int pidfd, int signal);

/* fcntl(2) F_OFD_SETLK of one byte; type is F_RDLCK, F_WRLCK or F_UNLCK.
 * -EAGAIN when another open file description holds a conflicting lock. */
int pto2_lock_byte(int fd, int64_t byte, int type);

/* 1 when an exclusive lock of that byte would conflict, 0 when it would not. */
int pto2_byte_is_locked(int fd, int64_t byte);

/* The ABI of Landlock that this kernel has: 1 and up; -ENOSYS or -EOPNOTSUPP without. */
int pto2_landlock_abi(void);

/* For this thread, and all threads and processes that it starts, for good: no file in /dev/shm
 * or /proc can be opened for writing, no other process can be traced or have its memory
 * written, by Landlock and seccomp(2). Sets no_new_privs. Returns 0 or the negated errno. */
int pto2_confine(void);

/* prctl(2) PR_SET_PDEATHSIG. */
int pto2_set_parent_death_signal(int signal);

/* prctl(2) PR_SET_PTRACER: where Yama restricts ptrace, that process may trace
 * this one. */
void pto2_allow_tracer(int32_t pid);

/* madvise(2) MADV_POPULATE_WRITE, Linux 5.14: maps the pages ahead of use. */
int pto2_populate_write(void *address, size_t bytes);

/* posix_spawn(3) of `path`: own process group, empty signal mask, default dispositions,
 * standard input /dev/null, standard output and error both `output`; -1: what standard
 * error is here. Returns 0 and the pid, or the negated errno. */
int pto2_spawn(const char *path, char *const *argv, char *const *envp, int output, int32_t *pid);

/* ---- descriptors -------------------------------------------------------------- */

/* For what a call has just returned: a descriptor above 2, the same or a copy (the
 * other is closed then); the negated errno when it has failed. */
int pto2_above_standard(int fd);

/* Whichever of descriptors 0, 1 and 2 is closed becomes /dev/null. */
void pto2_hold_standard(void);

/* pipe2(2), close-on-exec, above 2. */
int pto2_pipe(int ends[2], int is_blocking);

/* open(2) O_TMPFILE: a file in that folder without a name, mode 0600; and linkat(2):
 * the name, all at once. -EEXIST when it is taken; other errors where Linux, the file
 * system or a missing /proc does not let it. */
int pto2_open_nameless(const char *folder);
int pto2_give_name(int fd, const char *path);

/* What lies under a path, which is not followed: the type of st_mode, or a negated errno. */
int pto2_file_type(const char *path);

/* getrlimit(2): the soft limit; all ones without one. */
enum {
    PTO2_LIMIT_FILES,
    PTO2_LIMIT_FILE_BYTES,
    PTO2_LIMIT_ADDRESSES,
    PTO2_LIMIT_PROCESSES,
    PTO2_LIMIT_DATA
};
uint64_t pto2_limit(int which);

/* The stack of the first thread may grow to so many bytes, as far as the hard limit lets
 * it; the C library has read before what other threads get. */
void pto2_limit_stack(uint64_t bytes);

/* fflush(3) of every stream: 0, or why some of standard output is lost, negated. */
int pto2_flush(void);

/* setvbuf(3): standard output goes out line by line. */
void pto2_print_lines(void);

/* write(2) of all bytes, without SIGPIPE. Waits as long as the reader reads; when it
 * takes nothing for the limit (negative: none) the result is -ETIMEDOUT. 0 when all is
 * written. */
int pto2_write_all(int fd, const void *bytes, size_t count, int limit_milliseconds);

/* As much of it as goes without waiting and without SIGPIPE: 0 or more bytes. */
int pto2_write_now(int fd, const void *bytes, size_t count);

/* dup3(2): the number `fd` leads to what `with` does, close-on-exec. */
int pto2_replace(int fd, int with);

/* 1 while the descriptor leads to that file. */
int pto2_is_same_file(int fd, uint64_t device, uint64_t inode);

/* ---- signals and ends --------------------------------------------------------- */

/* signalfd(2) for the signals that end a process, whichever thread gets them: SIGINT,
 * SIGTERM, SIGHUP, SIGQUIT unless they are ignored, and those others (SIGALRM, SIGXCPU,
 * SIGUSR1, ...) that nobody handles or ignores. What the program sets later counts.
 * Close-on-exec, non-blocking. */
int pto2_signal_descriptor(void);

/* Closes that descriptor; with the last one, dispositions are what they were, and the
 * signals that came are not blocked in the calling thread. */
void pto2_release_signals(int fd);

/* Reads one signal number from that descriptor; 0 when there is none. */
int pto2_read_signal(int fd);

/* Lets a signal do what it would do without that descriptor. */
void pto2_pass_on(int number);

/* Ignores SIGPIPE, SIGHUP, SIGINT, SIGQUIT and what stops background processes of a terminal:
 * for supervised children, whose parent decides. Linux sends SIGHUP to one that is stopped
 * when its parent dies. */
void pto2_ignore_terminal_signals(void);

/* SIGCHLD as it is by default where the parent has had it ignored: then the ends of
 * children are told. */
void pto2_default_child_signal(void);

/* `function` is called, once, when this process, and no fork of it, ends by exit(3)
 * (with its status) or quick_exit(3) (with 0). NULL: nothing is. */
typedef void (*pto2_exit_function)(int status);
void pto2_guard_exit(pto2_exit_function function);

/* `function` is called when the calling thread ends, by pthread_exit(3) or a cancel.
 * NULL: nothing is. Returns the context before. */
typedef void (*pto2_thread_function)(void *context);
void *pto2_guard_thread(pto2_thread_function function, void *context);

/* ---- forks ---------------------------------------------------------------------- */

/* What becomes of a mapped segment in a child that user code makes with fork(2). */
typedef struct pto2_fork_rule {
    const void *base;
    uint64_t bytes;
    uint64_t hidden_bytes; /* the first so many are not to be read either */
    int32_t fd;            /* is closed: it has the session's locks */
    int32_t ends_with_parent;
    void (*function)(void *context); /* called in the child; NULL: nothing */
    void *context;
} pto2_fork_rule;

/* From now on; the latest rule for a base counts. */
void pto2_own(const pto2_fork_rule *rule);
/* The mapping is about to go. */
void pto2_disown(const void *base);

/* 1 in such a child. */
int pto2_is_forked(void);

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

/* C++ exceptions that leave functions of this image, a handle of dlopen(3), are described in
 * the crash record of their thread. Of the first image alone that has a C++ library. */
void pto2_record_exceptions(void *image);

/* Remembers what lies under that path, which is about to be loaded as a shared object. */
void pto2_note_object(const char *path);

/* The file of an object that was loaded, and the signal that came of its change. */
typedef struct pto2_changed_object {
    const char *path;
    uint64_t bytes_then, bytes_now;
    int signal;
    int exit_status; /* what the process was about to end with, by exit(3); -1: it was not */
} pto2_changed_object;

/* From now on, for good, `function` is called when this process is about to die of SIGBUS,
 * SIGSEGV, SIGILL or SIGFPE, and a file that was noted has been written to since: in the thread
 * that faulted, which it ends with the process. The latest function counts. */
typedef void (*pto2_object_function)(const pto2_changed_object *changed);
void pto2_guard_objects(pto2_object_function function);

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
    uint32_t access;  /* 0 not known, 1 load, 2 store, 3 call, or one of these */
    uint32_t reserved;
    char text[96];    /* of an exception: its type and what() */
} pto2_crash;
enum {
    PTO2_CRASH_STACK = 4,      /* the thread's stack has run over */
    PTO2_CRASH_THREAD_END = 5, /* pthread_exit(3) */
    PTO2_CRASH_EXCEPTION = 6,  /* a C++ exception that nothing caught */
};

/* For the calling thread: on SIGSEGV, SIGBUS, SIGILL, SIGFPE or SIGABRT writes
 * the record, on a stack of its own, and then dies of the signal as ever. `base`
 * and `bytes`: the mapped segment. */
void pto2_record_crashes(pto2_crash *record, const void *base, uint64_t bytes);

/* The calling thread may end from here on. */
void pto2_end_crash_record(void);

/* Whether so many bytes can be read there: 0 when not. Where the system does not say, 1. */
int pto2_is_readable(const void *address, size_t bytes);

/* ---- the floating-point environment --------------------------------------------- */

#if defined(__x86_64__)
/* As the psABI has it at the start of a process: round to nearest, denormals kept, all
 * exceptions masked; nothing on the x87 stack; strings go forwards. */
#define PTO2_MXCSR 0x1F80u
#define PTO2_X87 0x037Fu
typedef struct pto2_floating {
    uint32_t mxcsr;
    uint16_t x87;
} pto2_floating;
#else
typedef struct pto2_floating {
    uint64_t control;
} pto2_floating;
#endif

/* Brings the calling thread's environment back to the standard one. */
void pto2_reset_floating(void);
/* The calling thread's, and as it was. */
pto2_floating pto2_save_floating(void);
void pto2_restore_floating(pto2_floating saved);

/* Before each kernel: 1 to 2 ns. MXCSR is loaded, which costs less than to look at it;
 * the x87 control word is looked at, and its stack emptied. */
static inline void pto2_check_floating(void) {
#if defined(__x86_64__)
    uint16_t x87;
    __asm__ volatile("cld; fnstcw %0" : "=m"(x87));
    if (__builtin_expect(x87 != PTO2_X87, 0)) pto2_reset_floating();
    __asm__ volatile("emms");
    __builtin_ia32_ldmxcsr(PTO2_MXCSR);
#elif defined(__aarch64__)
    uint64_t control;
    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    if (__builtin_expect(control != 0, 0)) pto2_reset_floating();
#endif
}

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

/* The same of an image's init function. */
static inline int32_t pto2_call_init(uintptr_t function, const void *argument) {
    return ((int32_t (*)(const void *))function)(argument);
}

#endif
