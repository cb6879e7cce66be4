#include "pto2_trace.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef PTRACE_GET_SYSCALL_INFO
#define PTRACE_GET_SYSCALL_INFO 0x420e
#endif
#define SYSCALL_INFO_ENTRY 1
#define SYSCALL_INFO_EXIT 2

/* Kernel ABI of PTRACE_GET_SYSCALL_INFO, which older headers lack. */
struct call_info {
    uint8_t op;
    uint8_t padding[3];
    uint32_t arch;
    uint64_t instruction_pointer;
    uint64_t stack_pointer;
    union {
        struct {
            uint64_t number;
            uint64_t arguments[6];
        } entry;
        struct {
            int64_t result;
            uint8_t is_error;
        } exit;
    };
};

static int result(long value) { return value < 0 ? -errno : (int)value; }

int pto2_trace_seize(int32_t thread, int children) {
    long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC;
    if (children) options |= PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK;
    return result(ptrace(PTRACE_SEIZE, thread, NULL, options));
}

int pto2_trace_interrupt(int32_t thread) {
    return result(ptrace(PTRACE_INTERRUPT, thread, NULL, NULL));
}

int pto2_trace_resume(int32_t thread, int how, int signal) {
    enum __ptrace_request request = PTRACE_CONT;
    if (how == PTO2_TRACE_STEP) request = PTRACE_SINGLESTEP;
    if (how == PTO2_TRACE_SYSCALLS) request = PTRACE_SYSCALL;
    if (how == PTO2_TRACE_LISTEN) request = PTRACE_LISTEN;
    return result(ptrace(request, thread, NULL, (long)signal));
}

int pto2_trace_detach(int32_t thread, int signal) {
    return result(ptrace(PTRACE_DETACH, thread, NULL, (long)signal));
}

#if defined(__x86_64__)

static int poke(int32_t thread, size_t offset, uint64_t value) {
    return result(ptrace(PTRACE_POKEUSER, thread, offset, value));
}
#define DEBUG_REGISTER(n) (offsetof(struct user, u_debugreg) + 8 * (size_t)(n))

int pto2_trace_watch(int32_t thread, const uint64_t addresses[PTO2_TRACE_WATCHES],
                     const uint32_t bytes[PTO2_TRACE_WATCHES]) {
    uint64_t control = 0;
    int status = poke(thread, DEBUG_REGISTER(7), 0);
    if (status < 0) return status;
    for (int n = 0; n < PTO2_TRACE_WATCHES; n++) {
        if (bytes[n] == 0) continue;
        status = poke(thread, DEBUG_REGISTER(n), addresses[n]);
        if (status < 0) return status;
        /* Enabled; on writes (1); of 4 bytes (3) or 8 (2). */
        control |= 1ull << (2 * n);
        control |= (1ull | (bytes[n] == 8 ? 2ull : 3ull) << 2) << (16 + 4 * n);
    }
    poke(thread, DEBUG_REGISTER(6), 0);
    return control ? poke(thread, DEBUG_REGISTER(7), control) : 0;
}

int pto2_trace_hits(int32_t thread) {
    errno = 0;
    long status = ptrace(PTRACE_PEEKUSER, thread, DEBUG_REGISTER(6), NULL);
    if (status == -1 && errno) return -errno;
    poke(thread, DEBUG_REGISTER(6), 0);
    return (int)(status & 15);
}

int pto2_trace_skip_call(int32_t thread) {
    return poke(thread, offsetof(struct user_regs_struct, orig_rax), (uint64_t)-1);
}

int pto2_trace_set_result(int32_t thread, int64_t value) {
    return poke(thread, offsetof(struct user_regs_struct, rax), (uint64_t)value);
}

int pto2_trace_loop(int32_t thread) {
    errno = 0;
    long place = ptrace(PTRACE_PEEKUSER, thread, offsetof(struct user_regs_struct, rip), NULL);
    if (errno) return -errno;
    long code = ptrace(PTRACE_PEEKTEXT, thread, place, NULL);
    if (errno) return -errno;
    /* jmp to itself */
    code = (long)(((unsigned long)code & ~0xfffful) | 0xfeebul);
    if (ptrace(PTRACE_POKETEXT, thread, place, code) < 0) return -errno;
    /* A system call that it is in is not made again. */
    return pto2_trace_skip_call(thread);
}

#else

int pto2_trace_watch(int32_t thread, const uint64_t addresses[PTO2_TRACE_WATCHES],
                     const uint32_t bytes[PTO2_TRACE_WATCHES]) {
    (void)thread, (void)addresses;
    for (int n = 0; n < PTO2_TRACE_WATCHES; n++)
        if (bytes[n]) return -ENOTSUP;
    return 0;
}
int pto2_trace_hits(int32_t thread) { return (void)thread, 0; }
int pto2_trace_skip_call(int32_t thread) { return (void)thread, -ENOTSUP; }
int pto2_trace_set_result(int32_t thread, int64_t value) {
    return (void)thread, (void)value, -ENOTSUP;
}
int pto2_trace_loop(int32_t thread) { return (void)thread, -ENOTSUP; }

#endif

int pto2_trace_wait(int32_t thread, pto2_stop *out) {
    int status = 0;
    pid_t pid;
    do pid = waitpid(thread, &status, __WALL | WNOHANG);
    while (pid < 0 && errno == EINTR);
    if (pid <= 0) return result(pid);
    out->thread = pid;
    if (!WIFSTOPPED(status)) {
        out->kind = PTO2_STOP_ENDED;
        out->value = status;
        return 1;
    }
    int signal = WSTOPSIG(status), event = status >> 16;
    out->value = signal;
    if (event == PTRACE_EVENT_EXEC)
        out->kind = PTO2_STOP_EXEC;
    else if (event == PTRACE_EVENT_STOP)
        out->kind = signal == SIGTRAP ? PTO2_STOP_PAUSE : PTO2_STOP_GROUP;
    else if (event)
        out->kind = PTO2_STOP_CHILD;
    else if (signal == (SIGTRAP | 0x80))
        out->kind = PTO2_STOP_SYSCALL;
    else if (signal == SIGTRAP) {
        /* A trap of the hardware, not a SIGTRAP that somebody sent. */
        siginfo_t info;
        memset(&info, 0, sizeof info);
        ptrace(PTRACE_GETSIGINFO, pid, NULL, &info);
        out->kind = info.si_code > 0 ? PTO2_STOP_TRAP : PTO2_STOP_SIGNAL;
    } else
        out->kind = PTO2_STOP_SIGNAL;
    return 1;
}

int pto2_trace_system_call(int32_t thread, pto2_system_call *out) {
    struct call_info info;
    memset(&info, 0, sizeof info);
    long size = ptrace(PTRACE_GET_SYSCALL_INFO, thread, sizeof info, &info);
    if (size < 0) return -errno;
    out->is_entry = info.op == SYSCALL_INFO_ENTRY;
    out->number = out->is_entry ? (int64_t)info.entry.number : -1;
    for (int n = 0; n < 6; n++) out->arguments[n] = out->is_entry ? info.entry.arguments[n] : 0;
    out->result = info.op == SYSCALL_INFO_EXIT ? info.exit.result : 0;
    return 0;
}

int64_t pto2_call_mmap(void) { return SYS_mmap; }

int pto2_call_is_futex_wake(const pto2_system_call *call) {
    return call->is_entry && call->number == SYS_futex &&
           (call->arguments[1] & FUTEX_CMD_MASK) == FUTEX_WAKE;
}

int pto2_child_descriptor(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return result(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

void pto2_drain_child_descriptor(int fd) {
    struct signalfd_siginfo info;
    while (read(fd, &info, sizeof info) > 0) {}
}

int pto2_trace_spawn(const char *path, char *const *argv, char *const *envp, int output,
                     int errors, int32_t *pid) {
    sigset_t none;
    sigemptyset(&none);
    pid_t child = fork();
    if (child < 0) return -errno;
    if (child == 0) {
        sigprocmask(SIG_SETMASK, &none, NULL);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        setpgid(0, 0);
        dup2(output, 1);
        dup2(errors, 2);
        raise(SIGSTOP);
        execve(path, argv, envp);
        _exit(127);
    }
    int status = 0;
    while (waitpid(child, &status, WUNTRACED) < 0 && errno == EINTR) {}
    *pid = child;
    return WIFSTOPPED(status) ? 0 : -ECHILD;
}
