/* Signals that end a process: they become words that one thread reads.
 *
 * A signal is read from a signalfd(2) only while every thread blocks it, and there are
 * threads that nobody here has started: a library's, the program's. So each of these
 * signals has a handler as well, for whichever thread gets it: that thread blocks the
 * signal from then on and sends it to the process again, until nobody is left who
 * would take it. */
#include "pto2_linux.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/signalfd.h>
#include <ucontext.h>
#include <unistd.h>

static const int ending[] = {SIGINT,  SIGTERM, SIGHUP,  SIGQUIT, SIGALRM, SIGVTALRM, SIGPROF,
                             SIGXCPU, SIGXFSZ, SIGUSR1, SIGUSR2, SIGPWR,  SIGIO};
enum { ENDING = sizeof ending / sizeof *ending };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of the next three */
static struct sigaction before[ENDING];
static sigset_t held;
static int holders;
static pid_t owner;
/* Which of them the handler has blocked in some thread: bit i for ending[i]. */
static uint32_t met;

static void on_ending(int number, siginfo_t *info, void *context) {
    const int error = errno;
    (void)info;
    for (int i = 0; i < ENDING; i++)
        if (ending[i] == number) __atomic_fetch_or(&met, 1u << i, __ATOMIC_RELAXED);
    if (getpid() != owner) { /* a fork of the process: it is nobody's run */
        signal(number, SIG_DFL);
        raise(number);
    } else {
        sigaddset(&((ucontext_t *)context)->uc_sigmask, number);
        kill(owner, number);
    }
    errno = error;
}

/* The first four are asked for by people: their default is not the only thing that is
 * replaced (Swift's backtracer has SIGQUIT). The others only where nobody wants them. */
static int is_wanted(int index, const struct sigaction *now) {
    if (now->sa_flags & SA_SIGINFO) return index < 4;
    if (now->sa_handler == SIG_IGN) return 0;
    return index < 4 || now->sa_handler == SIG_DFL;
}

static void take(void) {
    struct sigaction action = {.sa_sigaction = on_ending, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigemptyset(&held);
    owner = getpid();
    for (int i = 0; i < ENDING; i++) {
        sigaction(ending[i], NULL, &before[i]);
        if (!is_wanted(i, &before[i])) continue;
        sigaddset(&held, ending[i]);
        sigaction(ending[i], &action, NULL);
    }
}

static void put_back(int index) {
    struct sigaction now;
    sigaction(ending[index], NULL, &now);
    if (now.sa_flags & SA_SIGINFO && now.sa_sigaction == on_ending)
        sigaction(ending[index], &before[index], NULL);
}

/* Dispositions, and the mask of this thread. */
static void give_back(void) {
    const uint32_t blocked = __atomic_exchange_n(&met, 0, __ATOMIC_RELAXED);
    sigset_t set;
    sigemptyset(&set);
    for (int i = 0; i < ENDING; i++) {
        if (sigismember(&held, ending[i])) put_back(i);
        if (blocked >> i & 1) sigaddset(&set, ending[i]);
    }
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

int pto2_signal_descriptor(void) {
    pthread_mutex_lock(&lock);
    if (holders == 0) take();
    const int fd = pto2_above_standard(signalfd(-1, &held, SFD_CLOEXEC | SFD_NONBLOCK));
    if (fd >= 0)
        holders++;
    else if (holders == 0)
        give_back();
    pthread_mutex_unlock(&lock);
    return fd;
}

void pto2_release_signals(int fd) {
    close(fd);
    if (getpid() != owner) return;
    pthread_mutex_lock(&lock);
    if (--holders == 0) give_back();
    pthread_mutex_unlock(&lock);
}

int pto2_read_signal(int fd) {
    struct signalfd_siginfo info;
    return read(fd, &info, sizeof info) == (ssize_t)sizeof info ? (int)info.ssi_signo : 0;
}

void pto2_pass_on(int number) {
    sigset_t set;
    for (int i = 0; i < ENDING; i++)
        if (ending[i] == number) put_back(i);
    sigemptyset(&set);
    sigaddset(&set, number);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    raise(number);
}

void pto2_ignore_terminal_signals(void) {
    static const int ignored[] = {SIGPIPE, SIGHUP, SIGINT, SIGQUIT, SIGTTIN, SIGTTOU, SIGTSTP};
    for (unsigned i = 0; i < sizeof ignored / sizeof *ignored; i++) signal(ignored[i], SIG_IGN);
}

void pto2_default_child_signal(void) {
    struct sigaction now;
    if (sigaction(SIGCHLD, NULL, &now) == 0 && !(now.sa_flags & SA_SIGINFO) &&
        (now.sa_handler == SIG_IGN || now.sa_flags & SA_NOCLDWAIT))
        signal(SIGCHLD, SIG_DFL);
}
