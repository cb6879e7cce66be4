/* Descriptors: which numbers they get, and writing that never waits for ever. */
#include "pto2_linux.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#ifndef RWF_NOWAIT
#define RWF_NOWAIT 8
#endif

int pto2_above_standard(int fd) {
    if (fd < 0) return -errno;
    if (fd > STDERR_FILENO) return fd;
    const int copy = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    const int error = errno;
    close(fd);
    return copy >= 0 ? copy : -error;
}

void pto2_hold_standard(void) {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) >= 0) continue;
        /* The lowest free number is this one. Without /dev/null: one that is no file. */
        if (open("/dev/null", fd == STDIN_FILENO ? O_RDONLY : O_WRONLY) < 0) open("/", O_PATH);
    }
}

int pto2_pipe(int ends[2], int is_blocking) {
    if (pipe2(ends, O_CLOEXEC | (is_blocking ? 0 : O_NONBLOCK)) < 0) return -errno;
    for (int end = 0; end < 2; end++) {
        ends[end] = pto2_above_standard(ends[end]);
        if (ends[end] >= 0) continue;
        const int error = ends[end];
        if (ends[1 - end] >= 0) close(ends[1 - end]);
        return error;
    }
    return 0;
}

static int64_t milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* As much as goes without waiting; poll(2) has said that something does. */
static ssize_t write_some(int fd, mode_t mode, const char *bytes, size_t count) {
    if (S_ISSOCK(mode)) return send(fd, bytes, count, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (S_ISREG(mode) || S_ISBLK(mode)) return write(fd, bytes, count);
    if (S_ISFIFO(mode)) {
        const struct iovec piece = {(void *)(uintptr_t)bytes, count};
        const ssize_t written = pwritev2(fd, &piece, 1, -1, RWF_NOWAIT);
        if (written >= 0 || errno == EAGAIN || errno == EPIPE) return written;
    }
    /* A pipe that is writable takes a page whole; a terminal takes what it can. */
    return write(fd, bytes, count < 512 ? count : 512);
}

static int write_within(int fd, const char *bytes, size_t count, int limit) {
    struct stat status;
    if (fstat(fd, &status) < 0) return -errno;
    int64_t deadline = milliseconds() + limit;
    while (count > 0) {
        if (!S_ISREG(status.st_mode)) {
            struct pollfd entry = {.fd = fd, .events = POLLOUT};
            const int64_t left = limit < 0 ? -1 : deadline - milliseconds();
            const int ready = poll(&entry, 1, limit < 0 ? -1 : left > 0 ? (int)left : 0);
            if (ready < 0 && errno != EINTR) return -errno;
            if (ready == 0) return -ETIMEDOUT;
            if (ready < 0) continue;
        }
        const ssize_t written = write_some(fd, status.st_mode, bytes, count);
        if (written < 0 && (errno == EAGAIN || errno == EINTR)) {
            if (limit >= 0 && milliseconds() >= deadline) return -ETIMEDOUT;
            continue;
        }
        if (written < 0) return -errno;
        if (written == 0) return -EIO;
        bytes += written;
        count -= (size_t)written;
        deadline = milliseconds() + limit; /* somebody reads */
    }
    return 0;
}

/* SIGPIPE and SIGXFSZ (`ulimit -f`, and standard output a long file), held off this thread. */
struct write_signals {
    sigset_t own, before, pending;
};

static void hold_write_signals(struct write_signals *it) {
    sigemptyset(&it->own);
    sigaddset(&it->own, SIGPIPE);
    sigaddset(&it->own, SIGXFSZ);
    sigpending(&it->pending);
    pthread_sigmask(SIG_BLOCK, &it->own, &it->before);
}

/* After a write with that result; one that was pending before stays so. */
static int drop_write_signal(struct write_signals *it, int result) {
    const int number = result == -EPIPE ? SIGPIPE : result == -EFBIG ? SIGXFSZ : 0;
    if (number != 0 && !sigismember(&it->pending, number)) {
        const struct timespec none = {0, 0};
        sigset_t one;
        sigemptyset(&one);
        sigaddset(&one, number);
        sigtimedwait(&one, NULL, &none);
    }
    pthread_sigmask(SIG_SETMASK, &it->before, NULL);
    return result;
}

int pto2_write_all(int fd, const void *bytes, size_t count, int limit_milliseconds) {
    struct write_signals held;
    hold_write_signals(&held);
    return drop_write_signal(&held, write_within(fd, bytes, count, limit_milliseconds));
}

static int write_once(int fd, const void *bytes, size_t count) {
    struct stat status;
    struct pollfd entry = {.fd = fd, .events = POLLOUT};
    if (fstat(fd, &status) < 0) return -errno;
    if (!S_ISREG(status.st_mode) && poll(&entry, 1, 0) < 1) return 0;
    const ssize_t written = write_some(fd, status.st_mode, bytes, count);
    if (written < 0) return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    return (int)written;
}

int pto2_write_now(int fd, const void *bytes, size_t count) {
    struct write_signals held;
    hold_write_signals(&held);
    return drop_write_signal(&held, write_once(fd, bytes, count));
}

int pto2_replace(int fd, int with) { return dup3(with, fd, O_CLOEXEC) < 0 ? -errno : 0; }

int pto2_is_same_file(int fd, uint64_t device, uint64_t inode) {
    struct stat status;
    return fstat(fd, &status) == 0 && status.st_dev == device && status.st_ino == inode;
}

/* ---- the command line, where there is no /proc ----------------------------- */

/* Swift's runtime reads /proc/self/cmdline, unless it was told. */
extern void _swift_stdlib_overrideUnsafeArgvArgc(char **argv, int argc) __attribute__((weak));

__attribute__((constructor)) static void keep_arguments(int argc, char **argv) {
    if (access("/proc/self/cmdline", R_OK) != 0 && argc > 0 && _swift_stdlib_overrideUnsafeArgvArgc)
        _swift_stdlib_overrideUnsafeArgvArgc(argv, argc);
}
