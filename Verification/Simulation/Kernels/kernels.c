/* Kernels of simulated programs: each access to a tensor is a step. */
#include "pto2_kernel.h"

#define LOAD 6  /* SIM_DATA_LOAD, SIM_DATA_STORE */
#define STORE 7

typedef void access_function(int32_t kind, uintptr_t address, uint64_t value);
typedef void phase_function(int32_t ends, uint32_t task, uint32_t slot, uint32_t block);

/* Set by the simulator once the image is loaded. */
PTO2_EXPORT access_function *simulation_access;
PTO2_EXPORT phase_function *simulation_phase;

static uint32_t load(const uint32_t *element) {
    simulation_access(LOAD, (uintptr_t)element, 0);
    return *(const volatile uint32_t *)element;
}

static void store(uint32_t *element, uint32_t value) {
    simulation_access(STORE, (uintptr_t)element, value);
    *(volatile uint32_t *)element = value;
}

/* Scalars: task number, active mask, salt. A kernel reads every element of each
 * INPUT, and writes its share of the elements of each tensor it may write:
 * INOUT ones by a bijection of the old value, so that no lost write and no
 * wrong order cancels out. `Interpreter.swift` says the same in Swift. */
static void work(const pto2_kernel_args *args) {
    const uint32_t task = (uint32_t)args->scalar[0];
    const uint32_t mask = (uint32_t)args->scalar[1];
    uint32_t hash = (uint32_t)args->scalar[2];
    simulation_phase(0, task, args->slot, args->block_index);
    for (uint32_t t = 0; t < args->tensor_count; t++) {
        if (args->tensor[t].access != PTO2_INPUT) continue;
        const uint32_t *data = args->data[t];
        for (uint32_t i = 0; i < args->tensor[t].element_count; i++)
            hash = hash * 31u + load(data + i);
    }
    const uint32_t kernels = (uint32_t)__builtin_popcount(mask);
    const uint32_t before = (uint32_t)__builtin_popcount(mask & ((1u << args->slot) - 1u));
    const uint32_t shares = kernels * args->block_count;
    const uint32_t share = before + kernels * args->block_index;
    for (uint32_t t = 0; t < args->tensor_count; t++) {
        const uint8_t access = args->tensor[t].access;
        if (access == PTO2_INPUT || access == PTO2_NO_DEP) continue;
        uint32_t *data = args->data[t];
        for (uint32_t i = share; i < args->tensor[t].element_count; i += shares) {
            uint32_t value = hash + 7919u * i + t;
            if (access == PTO2_INOUT) value += load(data + i) * 2654435761u;
            store(data + i, value);
        }
    }
    simulation_phase(1, task, args->slot, args->block_index);
}

static void matrix(const pto2_kernel_args *args) { work(args); }
static void vector(const pto2_kernel_args *args) { work(args); }

PTO2_KERNELS({"matrix", matrix, PTO2_AIC}, {"vector", vector, PTO2_AIV})
