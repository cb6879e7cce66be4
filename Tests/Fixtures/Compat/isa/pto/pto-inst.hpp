/* Stands for an ISA library in its simulation on a CPU: its types, and how it asks for its
 * place. */
#ifndef PTO_INST_HPP
#define PTO_INST_HPP

#include <dlfcn.h>

typedef _Float16 half;
#if defined(__STDCPP_BFLOAT16_T__)
#include <stdfloat>
typedef std::bfloat16_t bfloat16_t;
#else
typedef _Float16 bfloat16_t;
#endif

inline uint32_t get_subblockid() {
    auto hook = reinterpret_cast<uint32_t (*)()>(dlsym(RTLD_DEFAULT, "pto_sim_get_subblock_id"));
    return hook != nullptr ? hook() : 99;
}

inline void *shared_pipe_state(uint64_t key, size_t bytes) {
    auto hook = reinterpret_cast<void *(*)(uint64_t, size_t)>(
        dlsym(RTLD_DEFAULT, "pto_sim_get_pipe_shared_state"));
    return hook != nullptr ? hook(key, bytes) : nullptr;
}

#endif
