/* What an orchestration written for simpler's tensormap_and_ringbuffer includes, over
 * pto2_program.h. `pto2 compile` builds it; docs/compat.md says what is taken as it is. */
#ifndef PTO2_COMPAT_ORCHESTRATION_API_H
#define PTO2_COMPAT_ORCHESTRATION_API_H

#include "pto2_compat/args.hpp"
#include "pto2_compat/run.hpp"
#include "pto2_compat/submit.hpp"
#include "pto2_compat/views.hpp"

/* ---- the entry ------------------------------------------------------------ */

/* The tensors and scalars that the program is started with. */
class ChipTaskArgs {
public:
    struct Tensor {
        ChipTensor value;
        const ChipTensor &ref() const { return value; }
    };

    int32_t tensor_count() const { return int32_t(tensors.size()); }
    int32_t scalar_count() const { return int32_t(scalars.size()); }

    const Tensor &tensor(int32_t i) const {
        static const Tensor none = {};
        if (i >= 0 && i < tensor_count()) return tensors[size_t(i)];
        pto2_compat::fatal(PTO2_ERROR_INVALID_ARGS, "tensor(%d) of %d", int(i),
                           int(tensor_count()));
        return none;
    }

    uint64_t scalar(int32_t i) const {
        if (i >= 0 && i < scalar_count()) return scalars[size_t(i)];
        pto2_compat::fatal(PTO2_ERROR_INVALID_ARGS, "scalar(%d) of %d", int(i),
                           int(scalar_count()));
        return 0;
    }

    std::vector<Tensor> tensors;
    std::vector<uint64_t> scalars;
};

struct PTO2OrchestrationConfig {
    int expected_arg_count; /* tensors and scalars */
};

extern "C" __attribute__((weak)) PTO2OrchestrationConfig
aicpu_orchestration_config(const ChipTaskArgs &);

/* ---- tasks ---------------------------------------------------------------- */

static inline TaskOutputTensors rt_submit_task(const MixedKernels &kernels,
                                               const CoreTaskArgs &args) {
    return pto2_compat::submit(kernels, args);
}

static inline TaskOutputTensors rt_submit_aic_task(int32_t kernel, const CoreTaskArgs &args) {
    return pto2_compat::submit(MixedKernels{kernel, -1, -1}, args);
}

static inline TaskOutputTensors rt_submit_aiv_task(int32_t kernel, const CoreTaskArgs &args) {
    return pto2_compat::submit(MixedKernels{-1, kernel, -1}, args);
}

static inline TaskOutputTensors rt_submit_dummy_task(const CoreTaskArgs &args) {
    return pto2_compat::submit(MixedKernels{}, args);
}

/* Memory without a kernel, with the id of a task that others can depend on. */
static inline TaskOutputTensors alloc_tensors(const CoreTaskArgs &args) {
    return pto2_compat::submit(MixedKernels{}, args);
}

static inline TaskOutputTensors alloc_tensors(const TensorCreateInfo infos[], uint32_t count) {
    CoreTaskArgs args;
    for (uint32_t i = 0; i < count; i++) args.add_output(infos[i]);
    return pto2_compat::submit(MixedKernels{}, args);
}

template <typename... Infos,
          typename = std::enable_if_t<
              (sizeof...(Infos) > 0) &&
              (std::is_same<std::decay_t<Infos>, TensorCreateInfo>::value && ...)>>
static inline TaskOutputTensors alloc_tensors(const Infos &...infos) {
    CoreTaskArgs args;
    args.add_output(infos...);
    return pto2_compat::submit(MixedKernels{}, args);
}

/* ---- scopes --------------------------------------------------------------- */

static inline void rt_scope_begin(PTO2ScopeMode mode = PTO2ScopeMode::AUTO) {
    pto2_compat::begin_scope(mode);
}
static inline void rt_scope_end() { pto2_compat::end_scope(); }

class PTO2ScopeGuard {
public:
    explicit PTO2ScopeGuard(PTO2ScopeMode mode = PTO2ScopeMode::AUTO) { rt_scope_begin(mode); }
    ~PTO2ScopeGuard() { rt_scope_end(); }
    PTO2ScopeGuard(const PTO2ScopeGuard &) = delete;
};

#define PTO2_COMPAT_JOIN_(a, b) a##b
#define PTO2_COMPAT_JOIN(a, b) PTO2_COMPAT_JOIN_(a, b)
#define PTO2_SCOPE_GUARD(...) \
    [[maybe_unused]] PTO2ScopeGuard PTO2_COMPAT_JOIN(pto2_scope_, __COUNTER__) { __VA_ARGS__ }
#define PTO2_SCOPE(...) \
    if ([[maybe_unused]] PTO2ScopeGuard PTO2_COMPAT_JOIN(pto2_scope_, __COUNTER__){__VA_ARGS__}; \
        true)

/* ---- single elements ------------------------------------------------------ */

template <typename T = uint64_t>
static inline T get_tensor_data(const ChipTensor &tensor, uint32_t rank,
                                const uint32_t indices[]) {
    pto2_compat::run &now = pto2_compat::current();
    T value{};
    const pto2_tensor_handle *handle = pto2_compat::handle_of(tensor, "get_tensor_data");
    const uint64_t size = get_element_size(tensor.dtype);
    if (handle == nullptr ||
        !pto2_compat::check_element(tensor, rank, uint32_t(size), "get_tensor_data")) {
        return value;
    }
    uint64_t bits = 0;
    if (pto2_compat::failed(now.api->get(now.graph, handle, indices, pto2_compat::element_limit,
                                         &bits))) {
        return value;
    }
    memcpy(&value, &bits, sizeof value < size ? sizeof value : size);
    return value;
}

template <typename T = uint64_t>
static inline void set_tensor_data(const ChipTensor &tensor, uint32_t rank,
                                   const uint32_t indices[], T value) {
    pto2_compat::run &now = pto2_compat::current();
    const pto2_tensor_handle *handle = pto2_compat::handle_of(tensor, "set_tensor_data");
    if (handle == nullptr ||
        !pto2_compat::check_element(tensor, rank, uint32_t(get_element_size(tensor.dtype)),
                                    "set_tensor_data")) {
        return;
    }
    const uint64_t bits = to_u64(value);
    pto2_compat::failed(
        now.api->set(now.graph, handle, indices, pto2_compat::element_limit, &bits));
}

/* ---- the machine, errors, lines that people read --------------------------- */

static inline int32_t rt_available_cluster_count() {
    return int32_t(pto2_compat::current().machine.clusters);
}
static inline int32_t rt_available_aiv_count() { return 2 * rt_available_cluster_count(); }

static inline bool rt_is_fatal() { return pto2_compat::current().fatal != 0; }
#define rt_report_fatal(code, ...) pto2_compat::fatal(int32_t(code), __VA_ARGS__)
static inline void rt_orchestration_done() {}

#define PTO2_COMPAT_LOG(level, format, ...)                                               \
    pto2_logf(pto2_compat::current().api, pto2_compat::current().graph, level, "%s: " format, \
              __FUNCTION__, ##__VA_ARGS__)
#define LOG_ERROR(...) PTO2_COMPAT_LOG(PTO2_LOG_ERROR, __VA_ARGS__)
#define LOG_WARN(...) PTO2_COMPAT_LOG(PTO2_LOG_WARNING, __VA_ARGS__)
#define LOG_TIMING(...) PTO2_COMPAT_LOG(PTO2_LOG_INFO, __VA_ARGS__)
#define LOG_INFO(...) PTO2_COMPAT_LOG(PTO2_LOG_INFO, __VA_ARGS__)
#define LOG_DEBUG(...) PTO2_COMPAT_LOG(PTO2_LOG_DEBUG, __VA_ARGS__)

/* Codes that have another meaning here, or none. */
#define PTO2_ERROR_SCOPE_TASKS_OVERFLOW 10
#define PTO2_ERROR_ASYNC_COMPLETION_INVALID 101

#endif
