/* What a kernel, or the constructor of an image, leaves in a thread's registers. */
#include "pto2_linux.h"

#if defined(__x86_64__)
static void set(uint32_t mxcsr, uint16_t x87) {
    __asm__ volatile("fninit; fldcw %0" : : "m"(x87));
    __builtin_ia32_ldmxcsr(mxcsr);
}

void pto2_reset_floating(void) { set(PTO2_MXCSR, PTO2_X87); }

pto2_floating pto2_save_floating(void) {
    pto2_floating saved = {__builtin_ia32_stmxcsr(), 0};
    __asm__ volatile("fnstcw %0" : "=m"(saved.x87));
    return saved;
}

void pto2_restore_floating(pto2_floating saved) { set(saved.mxcsr, saved.x87); }
#elif defined(__aarch64__)
void pto2_reset_floating(void) {
    const uint64_t none = 0;
    __asm__ volatile("msr fpcr, %0" : : "r"(none));
}

pto2_floating pto2_save_floating(void) {
    pto2_floating saved;
    __asm__ volatile("mrs %0, fpcr" : "=r"(saved.control));
    return saved;
}

void pto2_restore_floating(pto2_floating saved) {
    __asm__ volatile("msr fpcr, %0" : : "r"(saved.control));
}
#else
void pto2_reset_floating(void) {}
pto2_floating pto2_save_floating(void) { return (pto2_floating){0}; }
void pto2_restore_floating(pto2_floating saved) { (void)saved; }
#endif
