/* What kernels ask the program that simulates their machine, by dlsym: where they run. An
 * image sees no symbols of others, so `pto2 compile` has kernels call this instead. */
#include "pto2_kernel.h"

#include <dlfcn.h>
#include <stdexcept>

#include <cstring>

#define PTO2_COMPAT_HIDDEN __attribute__((visibility("hidden")))

static thread_local const pto2_kernel_args *the_args;

extern "C" PTO2_COMPAT_HIDDEN void pto2_compat_enter(const pto2_kernel_args *args) {
    the_args = args;
}

static uint32_t subblock() { return the_args != nullptr && the_args->slot == 2 ? 1 : 0; }

static void execution_context(uint32_t *block, uint32_t *subblock_id, uint32_t *subblock_count) {
    *block = the_args != nullptr ? the_args->block_index : 0;
    *subblock_id = subblock();
    *subblock_count = 2;
}

static void *pipe_state(uint64_t, size_t) {
    throw std::runtime_error("TPUSH and TPOP between the cores of a cluster are not in pto2: its "
                             "cores are processes, and a mixed task's kernels may run one after "
                             "another (docs/compat.md)");
}

extern "C" PTO2_COMPAT_HIDDEN void *pto2_compat_dlsym(void *library, const char *name) {
    if (strcmp(name, "pto_sim_get_subblock_id") == 0) {
        return reinterpret_cast<void *>(&subblock);
    }
    if (strcmp(name, "pto_cpu_sim_get_execution_context") == 0) {
        return reinterpret_cast<void *>(&execution_context);
    }
    if (strcmp(name, "pto_sim_get_pipe_shared_state") == 0) {
        return reinterpret_cast<void *>(&pipe_state);
    }
    return dlsym(library, name);
}

/* Conversions of bfloat16 that clang++ calls, and an older C++ runtime has not. */
#if defined(__clang__) && (defined(__x86_64__) || defined(__aarch64__))
static __bf16 with_bits(uint16_t bits) {
    __bf16 value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

extern "C" PTO2_COMPAT_HIDDEN __attribute__((weak)) __bf16 __truncsfbf2(float value) {
    return with_bits(pto2_f32_to_bf16(value));
}

/* To odd first, so that the second rounding does not undo the first. */
extern "C" PTO2_COMPAT_HIDDEN __attribute__((weak)) __bf16 __truncdfbf2(double value) {
    float narrow = float(value);
    uint32_t bits;
    memcpy(&bits, &narrow, sizeof bits);
    if (value == value && double(narrow) != value) {
        const bool is_larger = (narrow < 0 ? -double(narrow) : double(narrow)) >
                               (value < 0 ? -value : value);
        if (is_larger) bits -= 1;
        bits |= 1;
    }
    memcpy(&narrow, &bits, sizeof narrow);
    return with_bits(pto2_f32_to_bf16(narrow));
}
#endif
