// Asks for memory that the cores of a cluster share.
#include <cstdint>
#include <pto/pto-inst.hpp>

extern "C" __aicore__ void kernel_entry(__gm__ int64_t *args) {
    args[0] = int64_t(reinterpret_cast<intptr_t>(shared_pipe_state(7, 64)));
}
