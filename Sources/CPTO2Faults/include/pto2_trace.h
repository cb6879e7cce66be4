/* Shims for ptrace(2): stopping the threads of other processes, at the store to
 * a word too, and stepping them. Each returns its result, or the negated errno.
 * All calls about one thread come from the thread that seized it. */
#ifndef PTO2_TRACE_H
#define PTO2_TRACE_H

#include <stdint.h>

#define PTO2_TRACE_WATCHES 4 /* words a thread can be watched for at once */

/* PTRACE_SEIZE. The thread's later threads are traced too; with `children` its
 * child processes as well. Does not stop it. */
int pto2_trace_seize(int32_t thread, int children);

/* Asks a running thread to stop; `pto2_trace_wait` then tells. */
int pto2_trace_interrupt(int32_t thread);

/* How a stopped thread goes on. */
#define PTO2_TRACE_CONTINUE 0
#define PTO2_TRACE_STEP 1    /* one instruction */
#define PTO2_TRACE_SYSCALLS 2 /* to the next begin or end of a system call */
#define PTO2_TRACE_LISTEN 3  /* remains stopped, as SIGSTOP asked */
int pto2_trace_resume(int32_t thread, int how, int signal);

/* Lets a stopped thread go for good. */
int pto2_trace_detach(int32_t thread, int signal);

/* Makes every store to one of these words stop the thread, after the store.
 * `bytes` is 4 or 8, an address a multiple of it; 0 bytes = none. -ENOTSUP where
 * the machine's debug registers are not known here. */
int pto2_trace_watch(int32_t thread, const uint64_t addresses[PTO2_TRACE_WATCHES],
                     const uint32_t bytes[PTO2_TRACE_WATCHES]);

/* Which of them have been stored to since this was asked last: a bit each. */
int pto2_trace_hits(int32_t thread);

/* Why a thread stopped, or that it has ended. */
#define PTO2_STOP_ENDED 0   /* value: wait(2) status */
#define PTO2_STOP_TRAP 1    /* a watched word, or a step */
#define PTO2_STOP_SIGNAL 2  /* value: a signal that is about to be delivered */
#define PTO2_STOP_GROUP 3   /* value: SIGSTOP and its like have stopped the process */
#define PTO2_STOP_SYSCALL 4
#define PTO2_STOP_EXEC 5
#define PTO2_STOP_PAUSE 6   /* interrupted, or new */
#define PTO2_STOP_CHILD 7   /* has made a thread or a process */
typedef struct pto2_stop {
    int32_t thread;
    int32_t kind;
    int32_t value;
} pto2_stop;

/* The next stop of `thread` (-1: of any), without waiting: 1, 0 when there is
 * none, -ECHILD when there never will be. */
int pto2_trace_wait(int32_t thread, pto2_stop *out);

/* The system call at which a thread has stopped. */
typedef struct pto2_system_call {
    int32_t is_entry; /* 0: it has been made */
    int64_t number;   /* at entry */
    uint64_t arguments[6];
    int64_t result;
} pto2_system_call;
int pto2_trace_system_call(int32_t thread, pto2_system_call *out);

/* At the entry of a system call: it is not made, and its result, from its end,
 * is `-ENOSYS` until `pto2_trace_set_result`. */
int pto2_trace_skip_call(int32_t thread);
int pto2_trace_set_result(int32_t thread, int64_t result);

/* A stopped thread: its next instruction becomes a jump to itself, in this process
 * alone. -ENOTSUP where the machine's code is not known here. */
int pto2_trace_loop(int32_t thread);

/* System calls that are looked for. */
int64_t pto2_call_mmap(void);
int pto2_call_is_futex_wake(const pto2_system_call *call);

/* signalfd(2) for SIGCHLD, which tells of stops; blocks it. */
int pto2_child_descriptor(void);
void pto2_drain_child_descriptor(int fd);

/* fork(2) and execve(2); the child stops itself before. Standard output and
 * error go to `output`. Returns 0 and the pid. */
int pto2_trace_spawn(const char *path, char *const *argv, char *const *envp, int output,
                     int errors, int32_t *pid);

#endif
