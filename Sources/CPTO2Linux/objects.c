/* A file that somebody writes to while it is mapped as a shared object. What the process touches
 * next of its code or data is gone (SIGBUS), or is something else (SIGSEGV, SIGILL, ...). */
#include "objects.h"
#include "pto2_linux.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST = 64 };
static struct object {
    char *path; /* absolute */
    struct stat then;
} objects[MOST];
static uint32_t count; /* stored with release, once the entry is whole */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static const int signals[] = {SIGBUS, SIGSEGV, SIGILL, SIGFPE};
enum { SIGNALS = sizeof signals / sizeof *signals };
static struct sigaction before[SIGNALS];
static pto2_object_function function;
static int is_reported;
static int exit_status = -1;

static int is_same(const struct stat *a, const struct stat *b) {
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

void pto2_note_object(const char *path) {
    struct object new = {.path = realpath(path, NULL)};
    if (!new.path || stat(new.path, &new.then) != 0) {
        free(new.path);
        return;
    }
    pthread_mutex_lock(&lock);
    uint32_t index = 0;
    /* Loaded before, it stays what it was then. */
    while (index < count && !(is_same(&objects[index].then, &new.then) &&
                              strcmp(objects[index].path, new.path) == 0))
        index++;
    if (index == count && count < MOST) {
        objects[index] = new;
        __atomic_store_n(&count, count + 1, __ATOMIC_RELEASE);
        new.path = NULL;
    }
    pthread_mutex_unlock(&lock);
    free(new.path);
}

/* Async-signal-safe. A file that was replaced is another one: what is mapped stays. */
static int find(pto2_changed_object *changed) {
    const uint32_t end = __atomic_load_n(&count, __ATOMIC_ACQUIRE);
    for (uint32_t i = 0; i < end; i++) {
        const struct stat *then = &objects[i].then;
        struct stat now;
        if (stat(objects[i].path, &now) != 0 || !is_same(&now, then)) continue;
        if (now.st_size == then->st_size && now.st_mtim.tv_sec == then->st_mtim.tv_sec &&
            now.st_mtim.tv_nsec == then->st_mtim.tv_nsec)
            continue;
        changed->path = objects[i].path;
        changed->bytes_then = (uint64_t)then->st_size;
        changed->bytes_now = (uint64_t)now.st_size;
        return 1;
    }
    return 0;
}

void pto2_report_changed_object(const siginfo_t *info) {
    const pto2_object_function report = __atomic_load_n(&function, __ATOMIC_ACQUIRE);
    pto2_changed_object changed = {
        .signal = info->si_signo,
        .exit_status = __atomic_load_n(&exit_status, __ATOMIC_ACQUIRE),
    };
    /* Not a signal that somebody has sent. */
    if (!report || info->si_code <= 0 || pto2_is_forked() || !find(&changed)) return;
    if (__atomic_exchange_n(&is_reported, 1, __ATOMIC_ACQ_REL))
        for (;;) pause(); /* another thread ends the process */
    report(&changed);
}

/* Destructors of what is loaded run after this. */
static void on_end(int status, void *context) {
    (void)context;
    __atomic_store_n(&exit_status, status & 0xFF, __ATOMIC_RELEASE);
}

static void on_fault(int number, siginfo_t *info, void *context) {
    (void)context;
    pto2_report_changed_object(info);
    for (int i = 0; i < SIGNALS; i++)
        if (signals[i] == number) sigaction(number, &before[i], NULL);
    if (info->si_code <= 0) raise(number); /* else the access is made again */
}

void pto2_guard_objects(pto2_object_function wanted) {
    static int is_installed;
    __atomic_store_n(&function, wanted, __ATOMIC_RELEASE);
    if (is_installed) return;
    is_installed = 1;
    on_exit(on_end, NULL);
    /* A fault in the handler ends the process at once. */
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    for (int i = 0; i < SIGNALS; i++) sigaddset(&action.sa_mask, signals[i]);
    for (int i = 0; i < SIGNALS; i++) sigaction(signals[i], &action, &before[i]);
    /* A parent may have blocked them: then they end the process unheard. */
    pthread_sigmask(SIG_UNBLOCK, &action.sa_mask, NULL);
}
