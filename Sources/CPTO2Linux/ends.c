/* Ends that a process or a thread brings about in the middle of things. */
#include "pto2_linux.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- exit(3) -------------------------------------------------------------- */

static pto2_exit_function exit_function;
static pid_t exit_owner;

static void on_end(int status, void *context) {
    (void)context;
    const pto2_exit_function function = __atomic_exchange_n(&exit_function, NULL, __ATOMIC_ACQ_REL);
    if (function && getpid() == exit_owner) function(status);
}

static void on_quick_end(void) { on_end(0, NULL); }

void pto2_guard_exit(pto2_exit_function function) {
    static int is_registered;
    exit_owner = getpid();
    if (function && !is_registered) {
        is_registered = 1;
        on_exit(on_end, NULL);
        at_quick_exit(on_quick_end);
    }
    __atomic_store_n(&exit_function, function, __ATOMIC_RELEASE);
}

/* ---- pthread_exit(3) -------------------------------------------------------- */

struct guard {
    pto2_thread_function function;
    void *context;
};

static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Thread_local struct guard guard;

static void on_thread_end(void *value) {
    const struct guard *ended = value;
    if (ended->function) ended->function(ended->context);
}

static void make_key(void) { pthread_key_create(&key, on_thread_end); }

void *pto2_guard_thread(pto2_thread_function function, void *context) {
    void *before = guard.context;
    pthread_once(&once, make_key);
    guard = (struct guard){function, context};
    pthread_setspecific(key, function ? &guard : NULL);
    return before;
}
