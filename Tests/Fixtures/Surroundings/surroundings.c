/* pto2-surroundings SETTING... -- COMMAND: runs the command in surroundings that a parent,
 * a container or an administrator can make. Exits with 125 where one of them cannot be
 * made here. A setting is NAME=VALUE:
 *
 *   close=FDS          closed descriptors, as 0,1
 *   full=FDS           /dev/full behind them
 *   far=FDS            the end of a file of 1 TiB
 *   broken=FD          a pipe without a reader
 *   stuck=FD           a pipe that is full and that nobody reads
 *   slow=FD            a non-blocking pipe whose reader, `cat` to the old FD, is slow to start
 *   ignore=SIGNALS     ignored, by number
 *   block=SIGNALS      blocked, by number; block=all
 *   alarm=SECONDS      SIGALRM comes then
 *   umask=OCTAL
 *   nofile=N  fsize=BYTES  as=BYTES  data=BYTES  nproc=N  stack=BYTES  memlock=BYTES
 *   core=BYTES
 *   cpus=N             the first N CPUs of those that are allowed
 *   nice=N
 *   deny=ERRNO:NUMBERS these system calls are refused, by number
 *   cwd=gone           a working directory that has been removed
 *   proc=none          no /proc
 *   shm=SIZE           a /dev/shm of that size; shm=none: none; shm=read-only
 *   user=UID
 *   terminal=tostop    a pseudo-terminal whose background processes may not write
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static const char *setting;

static void need(int holds) {
    if (holds) return;
    fprintf(stderr, "pto2-surroundings: %s cannot be had here: %s\n", setting, strerror(errno));
    _exit(125);
}

/* Calls the function for each number of a list such as 0,1. */
static void each(const char *list, void (*function)(int)) {
    for (const char *p = list; *p;) {
        char *end;
        function((int)strtol(p, &end, 10));
        p = *end == ',' ? end + 1 : end;
        if (end == list) break;
    }
}

static void shut(int fd) { close(fd); }

static void fill(int fd) {
    const int full = open("/dev/full", O_RDWR);
    need(full >= 0 && dup2(full, fd) >= 0);
    if (full != fd) close(full);
}

static void go_far(int fd) {
    char path[] = "/tmp/pto2-surroundings-XXXXXX";
    const int far = mkstemp(path);
    need(far >= 0 && unlink(path) == 0);
    need(lseek(far, (off_t)1 << 40, SEEK_SET) > 0 && dup2(far, fd) >= 0);
    if (far != fd) close(far);
}

static void break_pipe(int fd) {
    int ends[2];
    need(pipe(ends) == 0 && dup2(ends[1], fd) >= 0);
    close(ends[0]);
    close(ends[1]);
}

/* The reader is a process that sleeps until every writer is gone. */
static void stick(int fd) {
    int ends[2];
    need(pipe(ends) == 0);
    const pid_t reader = fork();
    need(reader >= 0);
    if (reader == 0) {
        struct pollfd entry = {.fd = ends[0]};
        close(ends[1]);
        for (int other = 0; other < 64; other++)
            if (other != ends[0]) close(other);
        while (poll(&entry, 1, -1) < 1 || !(entry.revents & POLLHUP)) {}
        _exit(0);
    }
    const int flags = fcntl(ends[1], F_GETFL);
    char block[4096] = {0};
    fcntl(ends[1], F_SETFL, flags | O_NONBLOCK);
    while (write(ends[1], block, sizeof block) > 0) {}
    fcntl(ends[1], F_SETFL, flags);
    need(dup2(ends[1], fd) >= 0);
    close(ends[0]);
    close(ends[1]);
}

static void slow(int fd) {
    int ends[2];
    need(pipe(ends) == 0);
    const pid_t reader = fork();
    need(reader >= 0);
    if (reader == 0) {
        dup2(fd, 1);
        dup2(ends[0], 0);
        for (int other = 3; other < 64; other++) close(other);
        usleep(300000);
        execlp("cat", "cat", (char *)NULL);
        _exit(125);
    }
    fcntl(ends[1], F_SETFL, fcntl(ends[1], F_GETFL) | O_NONBLOCK);
    need(dup2(ends[1], fd) >= 0);
    close(ends[0]);
    close(ends[1]);
}

static void ignore(int number) { signal(number, SIG_IGN); }

static sigset_t blocked;
static void block(int number) { sigaddset(&blocked, number); }

static void limit(int resource, const char *value) {
    const rlim_t bytes = strtoull(value, NULL, 10);
    const struct rlimit both = {bytes, bytes};
    need(setrlimit(resource, &both) == 0);
}

static void confine(int count) {
    cpu_set_t allowed, some;
    need(sched_getaffinity(0, sizeof allowed, &allowed) == 0);
    CPU_ZERO(&some);
    for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&some) < count; cpu++)
        if (CPU_ISSET(cpu, &allowed)) CPU_SET(cpu, &some);
    need(sched_setaffinity(0, sizeof some, &some) == 0);
}

static void deny(const char *value) {
    struct sock_filter code[80];
    unsigned short n = 0;
    char *end;
    const unsigned error = (unsigned)strtoul(value, &end, 10);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                             offsetof(struct seccomp_data, nr));
    while (*end && n < 78) {
        const unsigned number = (unsigned)strtoul(end + 1, &end, 10);
        code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1);
        code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error);
    }
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    const struct sock_fprog program = {n, code};
    need(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

static void own_mounts(void) {
    static int has;
    if (has) return;
    need(unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
    has = 1;
}

static void share(const char *value) {
    char options[64];
    own_mounts();
    const int is_gone = !strcmp(value, "none"), is_fixed = !strcmp(value, "read-only");
    snprintf(options, sizeof options, "size=%s", is_gone || is_fixed ? "1M" : value);
    need(mount("tmpfs", is_gone ? "/dev" : "/dev/shm", "tmpfs", is_fixed ? MS_RDONLY : 0,
               options) == 0);
    if (is_gone) need(mknod("/dev/null", S_IFCHR | 0666, 1 << 8 | 3) == 0);
}

static void remove_directory(void) {
    char path[] = "/tmp/pto2-gone-XXXXXX";
    need(mkdtemp(path) && chdir(path) == 0 && rmdir(path) == 0);
}

static void apply(const char *name, const char *value) {
#define IS(text) if (!strcmp(name, text))
    IS("close") return each(value, shut);
    IS("full") return each(value, fill);
    IS("far") return each(value, go_far);
    IS("broken") return break_pipe(atoi(value));
    IS("stuck") return stick(atoi(value));
    IS("slow") return slow(atoi(value));
    IS("ignore") return each(value, ignore);
    IS("block") {
        sigemptyset(&blocked);
        if (!strcmp(value, "all"))
            sigfillset(&blocked);
        else
            each(value, block);
        sigprocmask(SIG_BLOCK, &blocked, NULL);
        return;
    }
    IS("alarm") {
        alarm((unsigned)atoi(value));
        return;
    }
    IS("umask") {
        umask((mode_t)strtol(value, NULL, 8));
        return;
    }
    IS("nofile") return limit(RLIMIT_NOFILE, value);
    IS("fsize") return limit(RLIMIT_FSIZE, value);
    IS("as") return limit(RLIMIT_AS, value);
    IS("data") return limit(RLIMIT_DATA, value);
    IS("nproc") return limit(RLIMIT_NPROC, value);
    IS("stack") { /* the soft one */
        struct rlimit both;
        need(getrlimit(RLIMIT_STACK, &both) == 0);
        both.rlim_cur = strtoull(value, NULL, 10);
        need(setrlimit(RLIMIT_STACK, &both) == 0);
        return;
    }
    IS("memlock") return limit(RLIMIT_MEMLOCK, value);
    IS("core") return limit(RLIMIT_CORE, value);
    IS("cpus") return confine(atoi(value));
    IS("nice") {
        errno = 0;
        (void)!nice(atoi(value));
        need(errno == 0);
        return;
    }
    IS("deny") return deny(value);
    IS("cwd") return remove_directory();
    IS("proc") {
        own_mounts();
        need(mount("tmpfs", "/proc", "tmpfs", 0, "size=4k") == 0);
        return;
    }
    IS("shm") return share(value);
    IS("user") {
        need(setgid((gid_t)atoi(value)) == 0 && setuid((uid_t)atoi(value)) == 0);
        return;
    }
    errno = EINVAL;
    need(0);
}

/* The command on a terminal of its own; what it writes there goes to standard error. */
static int on_terminal(char **command) {
    const int master = posix_openpt(O_RDWR | O_NOCTTY);
    need(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    const char *name = ptsname(master);
    const pid_t child = fork();
    need(child >= 0 && name);
    if (child == 0) {
        setsid();
        const int terminal = open(name, O_RDWR);
        struct termios settings;
        need(terminal >= 0 && ioctl(terminal, TIOCSCTTY, 0) == 0);
        need(tcgetattr(terminal, &settings) == 0);
        settings.c_lflag |= TOSTOP;
        need(tcsetattr(terminal, TCSANOW, &settings) == 0);
        dup2(terminal, 0);
        dup2(terminal, 2);
        if (terminal > 2) close(terminal);
        close(master);
        execvp(command[0], command);
        _exit(127);
    }
    char buffer[4096];
    ssize_t bytes;
    while ((bytes = read(master, buffer, sizeof buffer)) > 0)
        if (write(2, buffer, (size_t)bytes) < 0) break;
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv) {
    int has_terminal = 0, i = 1;
    /* What a test runner leaves open counts against no limit. */
    for (int fd = 3; fd < 1024; fd++) close(fd);
    for (; i < argc && strcmp(argv[i], "--"); i++) {
        setting = argv[i];
        char *value = strchr(argv[i], '=');
        errno = EINVAL;
        need(value != NULL);
        char name[32] = {0};
        memcpy(name, argv[i], (size_t)(value - argv[i]) < 31 ? (size_t)(value - argv[i]) : 31);
        if (!strcmp(name, "terminal"))
            has_terminal = 1;
        else
            apply(name, value + 1);
    }
    if (i + 1 >= argc) {
        setting = "-- COMMAND";
        errno = EINVAL;
        need(0);
    }
    if (has_terminal) return on_terminal(argv + i + 1);
    execvp(argv[i + 1], argv + i + 1);
    return 127;
}
