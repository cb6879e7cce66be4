#include "simulation.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

const sim_hooks *sim_active;
int32_t sim_process;
uint64_t sim_time;
uint32_t sim_spins;

/* Saves what the C ABI says a call keeps, and the stack pointer; takes the
 * other's. Floating-point modes are the same everywhere. */
void sim_switch_stack(void **save, void *load);
void sim_start(void);

#if defined(__x86_64__)
__asm__(".text\n"
        ".globl sim_switch_stack\n"
        "sim_switch_stack:\n"
        "  pushq %rbp\n  pushq %rbx\n  pushq %r12\n  pushq %r13\n  pushq %r14\n  pushq %r15\n"
        "  movq %rsp, (%rdi)\n"
        "  movq %rsi, %rsp\n"
        "  popq %r15\n  popq %r14\n  popq %r13\n  popq %r12\n  popq %rbx\n  popq %rbp\n"
        "  ret\n"
        ".globl sim_start\n"
        "sim_start:\n"
        "  movl %r12d, %edi\n"
        "  call *%r13\n"
        "  ud2\n");

static void *first_frame(char *top, int32_t index, void (*entry)(int32_t)) {
    void **frame = (void **)top - 9; /* the call in sim_start aligns to 16 bytes */
    memset(frame, 0, 9 * sizeof(void *));
    frame[2] = (void *)entry;             /* r13 */
    frame[3] = (void *)(intptr_t)index;   /* r12 */
    frame[6] = (void *)sim_start;         /* return address */
    return frame;
}
#elif defined(__aarch64__)
__asm__(".text\n"
        ".globl sim_switch_stack\n"
        "sim_switch_stack:\n"
        "  sub sp, sp, #160\n"
        "  stp x19, x20, [sp, #0]\n  stp x21, x22, [sp, #16]\n  stp x23, x24, [sp, #32]\n"
        "  stp x25, x26, [sp, #48]\n  stp x27, x28, [sp, #64]\n  stp x29, x30, [sp, #80]\n"
        "  stp d8, d9, [sp, #96]\n  stp d10, d11, [sp, #112]\n"
        "  stp d12, d13, [sp, #128]\n  stp d14, d15, [sp, #144]\n"
        "  mov x9, sp\n  str x9, [x0]\n  mov sp, x1\n"
        "  ldp x19, x20, [sp, #0]\n  ldp x21, x22, [sp, #16]\n  ldp x23, x24, [sp, #32]\n"
        "  ldp x25, x26, [sp, #48]\n  ldp x27, x28, [sp, #64]\n  ldp x29, x30, [sp, #80]\n"
        "  ldp d8, d9, [sp, #96]\n  ldp d10, d11, [sp, #112]\n"
        "  ldp d12, d13, [sp, #128]\n  ldp d14, d15, [sp, #144]\n"
        "  add sp, sp, #160\n"
        "  ret\n"
        ".globl sim_start\n"
        "sim_start:\n"
        "  mov w0, w19\n"
        "  blr x20\n"
        "  brk #1\n");

static void *first_frame(char *top, int32_t index, void (*entry)(int32_t)) {
    void **frame = (void **)top - 20;
    memset(frame, 0, 20 * sizeof(void *));
    frame[0] = (void *)(intptr_t)index;   /* x19 */
    frame[1] = (void *)entry;             /* x20 */
    frame[11] = (void *)sim_start;        /* x30 */
    return frame;
}
#else
#error "no context switch for this machine"
#endif

#define STACK_BYTES (256u << 10)

static struct {
    void *pointer;
    char *stack;
} coroutines[SIM_COROUTINES];

static void *map(size_t bytes) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        perror("pto2-simulate: mmap");
        exit(1);
    }
    return memory;
}

void sim_prepare(int32_t index, void (*entry)(int32_t)) {
    if (!coroutines[index].stack) {
        char *stack = map(STACK_BYTES);
        mprotect(stack, 4096, PROT_NONE); /* an overflow is a trap */
        coroutines[index].stack = stack;
    }
    coroutines[index].pointer =
        first_frame(coroutines[index].stack + STACK_BYTES, index, entry);
}

void sim_switch(int32_t from, int32_t to) {
    sim_switch_stack(&coroutines[from].pointer, coroutines[to].pointer);
}

static void kernel_access(int32_t kind, uintptr_t address, uint64_t value) {
    if (sim_active) sim_active->access(kind, address, value);
}

static void kernel_phase(int32_t ends, uint32_t task, uint32_t slot, uint32_t block) {
    if (sim_active) sim_active->kernel(ends, task, slot, block);
}

void sim_connect_kernels(const void *access_variable, const void *phase_variable) {
    *(void (**)(int32_t, uintptr_t, uint64_t))(uintptr_t)access_variable = kernel_access;
    *(void (**)(int32_t, uint32_t, uint32_t, uint32_t))(uintptr_t)phase_variable = kernel_phase;
}

#define MEMORY_BYTES (64u << 20)

void *sim_memory(uint32_t object, uint64_t bytes) {
    static struct {
        char *memory;
        uint64_t used;
    } objects[SIM_OBJECTS];
    if (object >= SIM_OBJECTS || bytes > MEMORY_BYTES) return NULL;
    if (!objects[object].memory) objects[object].memory = map(MEMORY_BYTES);
    const uint64_t used = objects[object].used;
    memset(objects[object].memory, 0, used > bytes ? used : bytes);
    objects[object].used = bytes;
    return objects[object].memory;
}

static void (*trap_handler)(int32_t signal, uintptr_t address);

static void on_signal(int signal, siginfo_t *info, void *context) {
    (void)context;
    trap_handler(signal, (uintptr_t)info->si_addr);
}

void sim_catch_traps(void (*handler)(int32_t, uintptr_t)) {
    static const int signals[] = {SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGFPE, SIGABRT};
    stack_t stack = {.ss_sp = map(64u << 10), .ss_size = 64u << 10};
    sigaltstack(&stack, NULL);
    trap_handler = handler;
    for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++) {
        /* Not blocked while handled: the handler leaves by a switch. */
        struct sigaction action = {.sa_sigaction = on_signal,
                                   .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
        sigaction(signals[i], &action, NULL);
    }
}

int32_t sim_fork(int32_t *output) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC)) return -1;
    pid_t parent = getpid();
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        /* The parent may have gone before that was said. */
        if (getppid() != parent) _exit(1);
    }
    close(ends[child == 0 ? 0 : 1]);
    if (child < 0) close(ends[0]);
    else *output = ends[child == 0 ? 1 : 0];
    return child;
}
