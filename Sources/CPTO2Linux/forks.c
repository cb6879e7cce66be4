/* Children of user code, by fork(2): they own nothing of a session. */
#include "pto2_linux.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST = 16 };

static struct {
    pto2_fork_rule rule;
    dev_t device;
    ino_t inode;
    int is_used;
} owned[MOST];
static int is_forked, is_registered;

int pto2_is_forked(void) { return is_forked; }

/* The object by a description of its own, which holds no lock; negative when that is
 * not to be had. */
static int open_again(int index) {
    char path[32];
    struct stat status;
    snprintf(path, sizeof path, "/proc/self/fd/%d", owned[index].rule.fd);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    if (fstat(fd, &status) == 0 && status.st_dev == owned[index].device &&
        status.st_ino == owned[index].inode)
        return fd;
    close(fd);
    return -1;
}

/* What it reads it sees as the session does; what it writes is its own copy. */
static void replace(int index) {
    const pto2_fork_rule *rule = &owned[index].rule;
    void *base = (void *)(uintptr_t)rule->base;
    const int fd = open_again(index);
    const int fixed = MAP_FIXED | MAP_PRIVATE | MAP_NORESERVE;
    if (fd < 0 || mmap(base, rule->bytes, PROT_READ | PROT_WRITE, fixed, fd, 0) == MAP_FAILED)
        mmap(base, rule->bytes, PROT_NONE, fixed | MAP_ANONYMOUS, -1, 0);
    if (fd >= 0) close(fd);
    if (rule->hidden_bytes) mprotect(base, rule->hidden_bytes, PROT_NONE);
    if (pto2_is_same_file(rule->fd, owned[index].device, owned[index].inode)) close(rule->fd);
    if (rule->ends_with_parent) prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (rule->function) rule->function(rule->context);
}

static void in_child(void) {
    is_forked = 1;
    for (int i = 0; i < MOST; i++)
        if (owned[i].is_used) replace(i);
}

void pto2_own(const pto2_fork_rule *rule) {
    struct stat status;
    if (fstat(rule->fd, &status) < 0) return;
    if (!is_registered) {
        is_registered = 1;
        pthread_atfork(NULL, NULL, in_child);
    }
    pto2_disown(rule->base);
    for (int i = 0; i < MOST; i++) {
        if (owned[i].is_used) continue;
        owned[i].rule = *rule;
        owned[i].device = status.st_dev;
        owned[i].inode = status.st_ino;
        owned[i].is_used = 1;
        break;
    }
    /* For children that come into being without the handler, by clone(2). */
    madvise((void *)(uintptr_t)rule->base, rule->bytes, MADV_DONTFORK);
}

void pto2_disown(const void *base) {
    for (int i = 0; i < MOST; i++)
        if (owned[i].is_used && owned[i].rule.base == base) owned[i].is_used = 0;
}
