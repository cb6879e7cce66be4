/* What a task is given: tensors, scalars, dependencies and a condition. */
#ifndef PTO2_COMPAT_ARGS_HPP
#define PTO2_COMPAT_ARGS_HPP

#include <utility>

#include "../tensor.h"

enum class TensorArgType : int32_t { INPUT = 0, OUTPUT, INOUT, OUTPUT_EXISTING, NO_DEP };

enum class PTO2ScopeMode : uint8_t { AUTO = 0, MANUAL = 1 };

enum class PredicateOp : uint8_t { NONE = 0, EQ, NE, GT, LT, GE, LE };

enum DepFlags : uint8_t { DEP_NONE = 0, DEP_WAIT = 1, DEP_RETAIN = 2 };

constexpr DepFlags operator|(DepFlags a, DepFlags b) { return DepFlags(uint8_t(a) | uint8_t(b)); }
constexpr DepFlags operator&(DepFlags a, DepFlags b) { return DepFlags(uint8_t(a) & uint8_t(b)); }

/* An output that is to be allocated, and perhaps filled. */
class TensorCreateInfo {
public:
    TensorCreateInfo(const uint32_t shape[], uint32_t rank, DataType type = DataType::FLOAT32,
                     bool is_manual = false)
        : ndims(rank), dtype(type), manual_dep(is_manual) {
        for (uint32_t d = 0; d < rank && d < uint32_t(MAX_TENSOR_DIMS); d++) {
            raw_shapes[d] = shape[d];
        }
    }

    template <typename T> void set_initial_value(T value) {
        has_initial_value = true;
        initial_value = to_u64(value);
        initial_bytes = sizeof value;
    }

    uint64_t buffer_size_bytes() const {
        uint64_t count = 1;
        for (uint32_t d = 0; d < ndims && d < uint32_t(MAX_TENSOR_DIMS); d++) {
            count *= raw_shapes[d];
        }
        return count * get_element_size(dtype);
    }

    uint32_t ndims = 0;
    DataType dtype = DataType::FLOAT32;
    bool manual_dep = false;
    bool has_initial_value = false;
    uint64_t initial_value = 0;
    uint64_t initial_bytes = 0;
    uint32_t raw_shapes[MAX_TENSOR_DIMS] = {};
};

struct CorePredicateOperand {
    const ChipTensor *tensor = nullptr;
    uint32_t ndims = 0;
    uint32_t indices[MAX_TENSOR_DIMS] = {};
};

struct CoreTaskPredicate {
    CorePredicateOperand operand;
    PredicateOp op = PredicateOp::NONE;
    int64_t target = 0;
};

/* SPMD: how many blocks, and whether all begin together. */
class PTO2LaunchSpec {
public:
    void set_block_num(int16_t count) { block_num_ = count; }
    int16_t block_num() const { return block_num_; }
    void set_require_sync_start(bool is_set) { require_sync_start_ = is_set; }
    bool require_sync_start() const { return require_sync_start_; }

private:
    int16_t block_num_ = 1;
    bool require_sync_start_ = false;
};

/* Addresses are kept until submit: what is given must live so long, so temporaries do not
 * compile. Tensors come before scalars. A mistake is kept, and ends the run at submit. */
template <int MaxT, int MaxS> class Arg {
public:
    struct Tensor {
        TensorArgType type;
        const ChipTensor *tensor;     /* for all but OUTPUT */
        const TensorCreateInfo *info; /* for OUTPUT */

        const ChipTensor &ref() const { return *tensor; }
        const TensorCreateInfo &create_info() const { return *info; }
    };

    Arg() = default;
    Arg(const Arg &) = delete;
    Arg &operator=(const Arg &) = delete;

    bool has_error = false;
    const char *error_msg = nullptr;
    PTO2LaunchSpec launch_spec;

    void set_error(const char *text) {
        if (!has_error) has_error = true, error_msg = text;
    }

    template <typename... Ts> void add_input(Ts &&...tensors) {
        (add(TensorArgType::INPUT, std::forward<Ts>(tensors)), ...);
    }
    template <typename... Ts> void add_inout(Ts &&...tensors) {
        (add(TensorArgType::INOUT, std::forward<Ts>(tensors)), ...);
    }
    template <typename... Ts> void add_no_dep(Ts &&...tensors) {
        (add(TensorArgType::NO_DEP, std::forward<Ts>(tensors)), ...);
    }
    /* An info: new memory. A tensor: all of it is overwritten. */
    template <typename... Ts> void add_output(Ts &&...outputs) {
        (add_one_output(std::forward<Ts>(outputs)), ...);
    }

    template <typename... Ts> void add_scalar(Ts... values) {
        static_assert(((std::is_arithmetic<Ts>::value || std::is_enum<Ts>::value) && ...),
                      "a scalar is a number or an enum");
        (add_bits(to_u64(values)), ...);
    }
    void add_scalars(const uint64_t *values, int count) {
        for (int i = 0; i < count; i++) add_bits(values[i]);
    }
    void add_scalars_i32(const int32_t *values, int count) {
        for (int i = 0; i < count; i++) add_bits(uint32_t(values[i]));
    }
    template <int T, int S> void copy_scalars_from(const Arg<T, S> &other, int first, int count) {
        if (first < 0 || count < 0 || first + count > other.scalar_count()) {
            set_error("copy_scalars_from: the other has fewer scalars");
            return;
        }
        for (int i = 0; i < count; i++) add_bits(other.scalar(first + i));
    }

    void set_dependencies(const PTO2TaskId *ids, uint32_t count) {
        set_dependencies_with_kinds(ids, nullptr, count);
    }
    void set_dependencies_with_kinds(const PTO2TaskId *ids, const DepFlags *kinds,
                                     uint32_t count) {
        if (count != 0 && dependency_count_ != 0) {
            set_error("set_dependencies: called a second time");
            return;
        }
        if (count != 0 && ids == nullptr) {
            set_error("set_dependencies: no ids");
            return;
        }
        dependencies_ = count != 0 ? ids : nullptr;
        kinds_ = kinds;
        dependency_count_ = count;
    }
    uint32_t explicit_dep_count() const { return dependency_count_; }
    PTO2TaskId explicit_dep(uint32_t i) const { return dependencies_[i]; }
    DepFlags explicit_dep_kind(uint32_t i) const {
        return kinds_ != nullptr ? kinds_[i] : DEP_WAIT | DEP_RETAIN;
    }
    const PTO2TaskId *explicit_deps_data() const { return dependencies_; }

    void set_predicate(const CoreTaskPredicate &predicate) { predicate_ = predicate; }
    const CoreTaskPredicate &predicate() const { return predicate_; }

    /* Hints and measurements: nothing differs. */
    void set_allow_early_resolve(bool is_set = true) { allow_early_resolve_ = is_set; }
    bool allow_early_resolve() const { return allow_early_resolve_; }
    void set_task_timing_slot(int32_t slot) {
        if (slot < 0 || slot > 15) set_error("set_task_timing_slot: expected 0 to 15");
    }
    template <typename... Ts> void dump(Ts &&...) {}

    int32_t tensor_count() const { return tensor_count_; }
    int32_t scalar_count() const { return scalar_count_; }
    const Tensor &tensor(int32_t i) const { return tensors_[i]; }
    uint64_t scalar(int32_t i) const { return scalars_[i]; }

    void clear() {
        tensor_count_ = scalar_count_ = 0;
        dependencies_ = nullptr;
        kinds_ = nullptr;
        dependency_count_ = 0;
        predicate_ = CoreTaskPredicate();
        launch_spec = PTO2LaunchSpec();
        allow_early_resolve_ = false;
    }
    void reset() {
        clear();
        has_error = false;
        error_msg = nullptr;
    }

private:
    template <typename T> void add(TensorArgType type, T &&tensor) {
        static_assert(std::is_lvalue_reference<T>::value,
                      "a task keeps the tensor's address: give it a variable");
        static_assert(std::is_same<std::decay_t<T>, ChipTensor>::value, "expected a ChipTensor");
        put({type, &tensor, nullptr});
    }

    template <typename T> void add_one_output(T &&output) {
        static_assert(std::is_lvalue_reference<T>::value,
                      "a task keeps the output's address: give it a variable");
        if constexpr (std::is_same<std::decay_t<T>, TensorCreateInfo>::value) {
            put({TensorArgType::OUTPUT, nullptr, &output});
        } else {
            add(TensorArgType::OUTPUT_EXISTING, std::forward<T>(output));
        }
    }

    void put(const Tensor &tensor) {
        if (scalar_count_ != 0) return set_error("tensors come before scalars");
        if (tensor_count_ == MaxT) return set_error("more tensors than a task can have");
        tensors_[tensor_count_++] = tensor;
    }

    void add_bits(uint64_t bits) {
        if (scalar_count_ == MaxS) return set_error("more scalars than a task can have");
        scalars_[scalar_count_++] = bits;
    }

    Tensor tensors_[MaxT];
    uint64_t scalars_[MaxS];
    int32_t tensor_count_ = 0;
    int32_t scalar_count_ = 0;
    const PTO2TaskId *dependencies_ = nullptr;
    const DepFlags *kinds_ = nullptr;
    uint32_t dependency_count_ = 0;
    CoreTaskPredicate predicate_;
    bool allow_early_resolve_ = false;
};

using CoreTaskArgs = Arg<MAX_TENSOR_ARGS, MAX_SCALAR_ARGS>;

/* Kernels of a task by their func_id; -1: none. */
struct MixedKernels {
    int32_t aic_kernel_id = -1;
    int32_t aiv0_kernel_id = -1;
    int32_t aiv1_kernel_id = -1;
};

#endif
