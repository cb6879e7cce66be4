/* What a thread of kernels leaves when it crashes, or when a kernel ends it. */
#include "crashes.h"
#include "objects.h"
#include "pto2_linux.h"
#include "truncation.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

struct crashing {
    pto2_crash *record;
    uint64_t base, bytes;  /* the segment */
    uint64_t stack_begin;  /* the thread's lowest byte; 0: not known */
    int has_thrown;        /* `record->text` says what */
};

static _Thread_local struct crashing own;
/* The first core's, which counts for threads that kernels have started, as long as it is
 * the only core here. */
static struct crashing *first;
static int cores;

/* 1 load, 2 store, 3 call, by the processor's error code of a page fault; 0 where
 * that is not known. */
static uint32_t faulting_access(const void *context) {
#if defined(__x86_64__)
    long long error = ((const ucontext_t *)context)->uc_mcontext.gregs[REG_ERR];
    return error & 16 ? 3 : error & 2 ? 2 : 1;
#else
    (void)context;
    return 0;
#endif
}

/* Below its stack, by what a frame may be larger than the guard. */
static int is_overflow(const struct crashing *mine, uint64_t address) {
    return mine->stack_begin && address < mine->stack_begin + 65536 &&
           address + (8u << 20) >= mine->stack_begin;
}

static void fill(struct crashing *mine, int number, const siginfo_t *info, void *context) {
    pto2_crash *record = mine->record;
    const uint64_t address = (uint64_t)(uintptr_t)info->si_addr;
    /* Not one that somebody raised: those have no address. */
    const int is_fault = (number == SIGSEGV || number == SIGBUS) && info->si_code > 0;
    record->code = (uint32_t)info->si_code;
    record->address = address;
    const int is_inside = is_fault && address - mine->base < mine->bytes;
    record->offset = is_inside ? address - mine->base : UINT64_MAX;
    record->access = is_fault ? faulting_access(context) : 0;
    if (is_fault && mine == &own && is_overflow(mine, address)) record->access = PTO2_CRASH_STACK;
    if (number == SIGABRT && mine->has_thrown) record->access = PTO2_CRASH_EXCEPTION;
    __atomic_store_n(&record->signal, (uint32_t)number, __ATOMIC_RELEASE);
}

/* NULL: of no core. */
static struct crashing *of_this_thread(void) {
    if (own.record) return &own;
    return __atomic_load_n(&cores, __ATOMIC_ACQUIRE) == 1
               ? __atomic_load_n(&first, __ATOMIC_ACQUIRE)
               : NULL;
}

void pto2_note_exception(const char *words) {
    struct crashing *mine = of_this_thread();
    if (!mine || pto2_is_forked()) return;
    strncpy(mine->record->text, words, sizeof mine->record->text - 1);
    mine->record->text[sizeof mine->record->text - 1] = 0;
    mine->has_thrown = 1;
}

static void on_crash(int number, siginfo_t *info, void *context) {
    if (pto2_is_forked()) {
        static const char text[] = "pto2-worker: a process that a kernel has forked came back from "
                                   "the kernel, or crashed: it ends here\n";
        (void)!write(STDERR_FILENO, text, sizeof text - 1);
        _exit(1);
    }
    if (number == SIGBUS && pto2_is_truncated(info)) pto2_report_truncation(info);
    pto2_report_changed_object(info);
    struct crashing *mine = of_this_thread();
    if (mine) fill(mine, number, info, context);
    struct sigaction end = {.sa_handler = SIG_DFL};
    sigaction(number, &end, NULL);
    raise(number); /* SA_NODEFER: this ends the process */
}

static void on_thread_end(void *context) {
    struct crashing *mine = context;
    if (pto2_is_forked()) _exit(1);
    mine->record->code = 0;
    mine->record->address = 0;
    mine->record->offset = UINT64_MAX;
    mine->record->access = PTO2_CRASH_THREAD_END;
    __atomic_store_n(&mine->record->signal, (uint32_t)SIGABRT, __ATOMIC_RELEASE);
    struct sigaction end = {.sa_handler = SIG_DFL};
    sigaction(SIGABRT, &end, NULL);
    abort();
}

void pto2_end_crash_record(void) {
    struct crashing *expected = &own;
    pto2_guard_thread(NULL, NULL);
    own.record = NULL;
    /* Cores end together: nobody else becomes the only one. */
    __atomic_compare_exchange_n(&first, &expected, NULL, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

static void find_stack(void) {
    pthread_attr_t attributes;
    void *begin;
    size_t bytes;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0) return;
    if (pthread_attr_getstack(&attributes, &begin, &bytes) == 0)
        own.stack_begin = (uint64_t)(uintptr_t)begin;
    pthread_attr_destroy(&attributes);
}

void pto2_record_crashes(pto2_crash *record, const void *base, uint64_t bytes) {
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
    /* A kernel may have used up its own stack. Never freed: the thread lives as
     * long as its core. */
    stack_t stack = {.ss_size = 64 * 1024};
    stack.ss_sp = malloc(stack.ss_size);
    if (stack.ss_sp) sigaltstack(&stack, NULL);
    own.record = record;
    own.base = (uint64_t)(uintptr_t)base;
    own.bytes = bytes;
    find_stack();
    if (__atomic_fetch_add(&cores, 1, __ATOMIC_ACQ_REL) == 0)
        __atomic_store_n(&first, &own, __ATOMIC_RELEASE);
    pto2_guard_thread(on_thread_end, &own);
    struct sigaction action = {.sa_sigaction = on_crash,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESETHAND | SA_NODEFER};
    sigemptyset(&action.sa_mask);
    for (size_t k = 0; k < sizeof signals / sizeof *signals; k++) {
        /* A truncated segment meets several threads at once: each gets here. */
        if (signals[k] == SIGBUS) action.sa_flags &= ~SA_RESETHAND;
        sigaction(signals[k], &action, NULL);
        action.sa_flags |= SA_RESETHAND;
    }
}
