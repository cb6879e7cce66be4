/* A segment that somebody made smaller: the next touch of what is gone raises
 * SIGBUS, in any thread. The handler says which byte it was and ends the process. */
#include "truncation.h"
#include "pto2_linux.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct {
    uint64_t base, bytes; /* 0 bytes: nothing is watched */
    int fd, status;
    uint32_t sections;
    uint64_t *offsets;
    char **names;
    char *error[3], *output[3], *path;
} watch;
static struct sigaction before;
static int is_reported;

static uint64_t offset_of(const siginfo_t *info) {
    return (uint64_t)(uintptr_t)info->si_addr - watch.base;
}

int pto2_is_truncated(const siginfo_t *info) {
    struct stat status;
    return info->si_code > 0 && offset_of(info) < watch.bytes && fstat(watch.fd, &status) == 0 &&
           (uint64_t)status.st_size <= offset_of(info);
}

static void put(int fd, const char *text, size_t length) {
    while (length > 0) {
        ssize_t count = write(fd, text, length);
        if (count <= 0) return;
        text += count;
        length -= (size_t)count;
    }
}

static void say(int fd, char *const parts[3], uint64_t offset) {
    char digits[20];
    size_t first = sizeof digits;
    if (!parts[0]) return;
    uint64_t rest = offset;
    do digits[--first] = (char)('0' + rest % 10);
    while ((rest /= 10) > 0);
    uint32_t section = 0;
    while (section + 1 < watch.sections && watch.offsets[section + 1] <= offset) section++;
    put(fd, parts[0], strlen(parts[0]));
    put(fd, digits + first, sizeof digits - first);
    put(fd, parts[1], strlen(parts[1]));
    put(fd, watch.names[section], strlen(watch.names[section]));
    put(fd, parts[2], strlen(parts[2]));
}

_Noreturn void pto2_report_truncation(const siginfo_t *info) {
    if (__atomic_exchange_n(&is_reported, 1, __ATOMIC_ACQ_REL))
        for (;;) pause(); /* another thread ends the process */
    if (watch.path) {
        struct stat mine, named;
        if (fstat(watch.fd, &mine) == 0 && stat(watch.path, &named) == 0 &&
            mine.st_ino == named.st_ino && mine.st_dev == named.st_dev)
            unlink(watch.path);
    }
    say(STDOUT_FILENO, watch.output, offset_of(info));
    say(STDERR_FILENO, watch.error, offset_of(info));
    _exit(watch.status);
}

static void on_bus(int signal, siginfo_t *info, void *context) {
    (void)context;
    if (pto2_is_truncated(info)) pto2_report_truncation(info);
    sigaction(signal, &before, NULL); /* not ours: the access is made again */
    if (info->si_code <= 0) raise(signal);
}

static char *copy(const char *text) { return text ? strdup(text) : NULL; }

void pto2_end_truncation_watch(void) {
    if (watch.bytes == 0) return;
    sigaction(SIGBUS, &before, NULL);
    watch.bytes = 0;
    for (uint32_t i = 0; i < watch.sections; i++) free(watch.names[i]);
    for (int i = 0; i < 3; i++) {
        free(watch.error[i]);
        free(watch.output[i]);
    }
    free(watch.names);
    free(watch.offsets);
    free(watch.path);
    memset(&watch, 0, sizeof watch);
}

int pto2_watch_truncation(const pto2_truncation *wanted) {
    pto2_end_truncation_watch();
    watch.offsets = calloc(wanted->sections, sizeof *watch.offsets);
    watch.names = calloc(wanted->sections, sizeof *watch.names);
    if (!watch.offsets || !watch.names) return -1;
    for (uint32_t i = 0; i < wanted->sections; i++) {
        watch.offsets[i] = wanted->offsets[i];
        watch.names[i] = copy(wanted->names[i]);
    }
    for (int i = 0; i < 3; i++) {
        watch.error[i] = copy(wanted->error[i]);
        watch.output[i] = copy(wanted->output[i]);
    }
    watch.path = copy(wanted->path);
    watch.sections = wanted->sections;
    watch.base = (uint64_t)(uintptr_t)wanted->base;
    watch.fd = wanted->fd;
    watch.status = wanted->status;
    watch.bytes = wanted->bytes;
    is_reported = 0;
    struct sigaction action = {.sa_sigaction = on_bus, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    return sigaction(SIGBUS, &action, &before);
}
