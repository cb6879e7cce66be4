/* Children of user code, by fork(2): they own nothing of a session. */
#include "pto2_linux.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

struct owned {
    struct owned *next;
    pto2_fork_rule rule;
    dev_t device;
    ino_t inode;
};

/* Held over a fork, so that the child sees a whole list. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct owned *all;
static int is_forked, is_registered;

int pto2_is_forked(void) { return is_forked; }

/* The object by a description of its own, which holds no lock; negative when that is
 * not to be had. */
static int open_again(const struct owned *it) {
    char path[32];
    struct stat status;
    snprintf(path, sizeof path, "/proc/self/fd/%d", it->rule.fd);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    if (fstat(fd, &status) == 0 && status.st_dev == it->device && status.st_ino == it->inode)
        return fd;
    close(fd);
    return -1;
}

/* What it reads it sees as the session does; what it writes is its own copy. */
static void replace(const struct owned *it) {
    const pto2_fork_rule *rule = &it->rule;
    void *base = (void *)(uintptr_t)rule->base;
    const int fd = open_again(it);
    const int fixed = MAP_FIXED | MAP_PRIVATE | MAP_NORESERVE;
    if (fd < 0 || mmap(base, rule->bytes, PROT_READ | PROT_WRITE, fixed, fd, 0) == MAP_FAILED)
        mmap(base, rule->bytes, PROT_NONE, fixed | MAP_ANONYMOUS, -1, 0);
    if (fd >= 0) close(fd);
    if (rule->hidden_bytes) mprotect(base, rule->hidden_bytes, PROT_NONE);
    if (pto2_is_same_file(rule->fd, it->device, it->inode)) close(rule->fd);
    if (rule->ends_with_parent) prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (rule->function) rule->function(rule->context);
}

static void before_fork(void) { pthread_mutex_lock(&lock); }
static void in_parent(void) { pthread_mutex_unlock(&lock); }

static void in_child(void) {
    is_forked = 1;
    for (const struct owned *it = all; it; it = it->next) replace(it);
    pthread_mutex_unlock(&lock);
}

static void forget(const void *base) {
    for (struct owned **place = &all; *place; place = &(*place)->next) {
        struct owned *it = *place;
        if (it->rule.base != base) continue;
        *place = it->next;
        free(it);
        return;
    }
}

void pto2_own(const pto2_fork_rule *rule) {
    struct stat status;
    /* For children that come into being without the handler, by clone(2), and for all
     * where there is no memory for the rule: nothing is there. */
    madvise((void *)(uintptr_t)rule->base, rule->bytes, MADV_DONTFORK);
    struct owned *it = malloc(sizeof *it);
    if (!it || fstat(rule->fd, &status) < 0) {
        free(it);
        return;
    }
    *it = (struct owned){NULL, *rule, status.st_dev, status.st_ino};
    pthread_mutex_lock(&lock);
    if (!is_registered)
        is_registered = pthread_atfork(before_fork, in_parent, in_child) == 0;
    forget(rule->base);
    it->next = all;
    all = it;
    pthread_mutex_unlock(&lock);
}

void pto2_disown(const void *base) {
    pthread_mutex_lock(&lock);
    forget(base);
    pthread_mutex_unlock(&lock);
}
