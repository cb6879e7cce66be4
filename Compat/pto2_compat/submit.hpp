/* Tasks: what CoreTaskArgs says, as a submission of pto2. */
#ifndef PTO2_COMPAT_SUBMIT_HPP
#define PTO2_COMPAT_SUBMIT_HPP

#include "args.hpp"
#include "run.hpp"

/* The outputs of a task that were allocated, in their order. What get_ref returns is valid
 * until the scope ends, also when this object is gone. */
class TaskOutputTensors {
public:
    bool empty() const { return count_ == 0; }
    uint32_t size() const { return count_; }
    PTO2TaskId task_id() const { return task_; }

    const ChipTensor &get_ref(uint32_t index) const & {
        static const ChipTensor none;
        if (index < count_) return first_[index];
        pto2_compat::fatal(PTO2_ERROR_INVALID_ARGS, "get_ref(%u) of %u outputs", index, count_);
        return none;
    }
    const ChipTensor &get_ref(uint32_t index) const && = delete;

    TaskOutputTensors() = default;
    TaskOutputTensors(PTO2TaskId task, const ChipTensor *first, uint32_t count)
        : task_(task), first_(first), count_(count) {}

private:
    PTO2TaskId task_ = PTO2TaskId::invalid();
    const ChipTensor *first_ = nullptr;
    uint32_t count_ = 0;
};

namespace pto2_compat {

/* Memory for an output with an initial value: there, and filled, before its task is. */
inline bool allocate_filled(const TensorCreateInfo &info, pto2_dtype type,
                            pto2_tensor_handle *out) {
    run &now = current();
    if (failed(now.api->allocate(now.graph, type, info.ndims, info.raw_shapes, out))) return false;
    uint8_t *bytes = static_cast<uint8_t *>(now.api->data(now.graph, out));
    const uint64_t size = get_element_size(info.dtype), all = info.buffer_size_bytes();
    if (bytes == nullptr && all != 0) return false;
    for (uint64_t at = 0; at < all; at += size) memcpy(bytes + at, &info.initial_value, size);
    return true;
}

/* A condition on the bits of an element, as a signed number of its size. */
inline bool set_predicate(const CoreTaskPredicate &predicate, pto2_tensor_handle *operand,
                          pto2_predicate *out) {
    run &now = current();
    const ChipTensor *tensor = predicate.operand.tensor;
    const pto2_tensor_handle *handle =
        tensor != nullptr ? handle_of(*tensor, "set_predicate") : nullptr;
    if (handle == nullptr || predicate.operand.ndims != tensor->ndims) {
        fatal(PTO2_ERROR_INVALID_ARGS, "set_predicate: expected a tensor and an index of its rank");
        return false;
    }
    static const pto2_dtype whole[] = {PTO2_INT8, PTO2_INT16, PTO2_INT32, PTO2_INT64};
    int size = 0;
    while (1u << size < get_element_size(tensor->dtype)) size++;
    if (failed(now.api->bit_cast(now.graph, handle, whole[size], operand))) {
        const char *text = now.api->error_message(now.graph);
        now.fatal = 0;
        fatal(PTO2_ERROR_INVALID_ARGS, "set_predicate: %s", text != nullptr ? text : "no view");
        return false;
    }
    out->bytes = sizeof *out;
    out->comparison = pto2_comparison(int(predicate.op) - 1);
    out->tensor = operand;
    out->index = predicate.operand.indices;
    out->integer = predicate.target;
    return true;
}

inline bool kernel_of(int32_t id, pto2_kernel *out) {
    const run &now = current();
    for (uint32_t i = 0; i < now.name_count; i++) {
        if (now.names[i].id == id) {
            *out = now.kernels[i];
            return true;
        }
    }
    fatal(PTO2_ERROR_INVALID_ARGS, "no kernel has func_id %d: `pto2 compile` was given others",
          int(id));
    return false;
}

/* The arguments, dependencies and outputs of one task while it is submitted. */
struct staged {
    pto2_argument arguments[MAX_TENSOR_ARGS];
    pto2_tensor_handle handles[MAX_TENSOR_ARGS];
    std::vector<pto2_dependency> dependencies;
    uint32_t outputs = 0;
    bool has_filled = false;  /* an output with an initial value */
    bool has_changed = false; /* a tensor whose contents before it a second run would miss */
};

inline void depend(staged &task, PTO2TaskId id, bool retains) {
    task.dependencies.push_back(
        pto2_dependency{sizeof(pto2_dependency), retains && is_open(id.raw) ? 1u : 0u, {id.raw}});
}

inline bool stage_tensor(staged &task, int32_t i, const CoreTaskArgs::Tensor &given) {
    pto2_argument &argument = task.arguments[i];
    argument = pto2_argument{};
    argument.bytes = sizeof argument;
    argument.tensor = &task.handles[i];
    if (given.type == TensorArgType::OUTPUT) {
        const TensorCreateInfo &info = *given.info;
        if (info.ndims == 0 || info.ndims > uint32_t(MAX_TENSOR_DIMS) ||
            !dtype_of(info.dtype, &argument.dtype)) {
            fatal(PTO2_ERROR_INVALID_ARGS, "an output of %u dimensions and type %s: expected 1 "
                  "to 5, and a type that pto2 has", info.ndims, get_dtype_name(info.dtype));
            return false;
        }
        task.outputs++;
        if (info.has_initial_value) {
            argument.access = PTO2_INOUT;
            if (info.initial_bytes != get_element_size(info.dtype)) {
                fatal(PTO2_ERROR_INVALID_ARGS, "set_initial_value: %u bytes for %s",
                      unsigned(info.initial_bytes), get_dtype_name(info.dtype));
                return false;
            }
            task.has_filled = true;
            return allocate_filled(info, argument.dtype, &task.handles[i]);
        }
        argument.access = PTO2_OUTPUT;
        argument.rank = info.ndims;
        memcpy(argument.shape, info.raw_shapes, sizeof argument.shape);
        return true;
    }
    const pto2_tensor_handle *handle = handle_of(*given.tensor, "submit");
    if (handle == nullptr) return false;
    task.handles[i] = *handle;
    task.has_changed |= given.type != TensorArgType::INPUT || given.tensor->manual_dep;
    if (given.type == TensorArgType::NO_DEP || given.tensor->manual_dep) {
        argument.access = PTO2_NO_DEP_CREATED;
        /* Of one that was filled beforehand the runtime knows no creator. */
        if (given.tensor->owner_task_id.is_valid()) {
            depend(task, given.tensor->owner_task_id, true);
        }
    } else {
        argument.access = given.type == TensorArgType::INPUT   ? PTO2_INPUT
                          : given.type == TensorArgType::INOUT ? PTO2_INOUT
                                                               : PTO2_OUTPUT_EXISTING;
    }
    return true;
}

/* What the runtime has put out, as tensors that the scope keeps. */
inline const ChipTensor *keep_outputs(staged &task, const CoreTaskArgs &args, PTO2TaskId id) {
    run &now = current();
    if (task.outputs == 0) return nullptr;
    const uint32_t depth = uint32_t(now.scopes.size() - 1);
    ChipTensor *all = new ChipTensor[task.outputs];
    now.scopes.back().outputs.push_back(all);
    ChipTensor *next = all;
    for (int32_t i = 0; i < args.tensor_count(); i++) {
        if (args.tensor(i).type != TensorArgType::OUTPUT) continue;
        const TensorCreateInfo &info = *args.tensor(i).info;
        describe(*next, info.ndims, info.raw_shapes, info.dtype);
        next->manual_dep = info.manual_dep;
        next->owner_task_id = id;
        next->buffer.addr =
            uint64_t(reinterpret_cast<uintptr_t>(now.api->data(now.graph, &task.handles[i])));
        next->buffer.size = info.buffer_size_bytes();
        bind(*next++, depth, task.handles[i]);
    }
    return all;
}

inline TaskOutputTensors submit(MixedKernels kernels, const CoreTaskArgs &args) {
    run &now = current();
    TaskOutputTensors none;
    if (now.fatal != 0) return none;
    if (args.has_error) {
        fatal(PTO2_ERROR_INVALID_ARGS, "%s", args.error_msg);
        return none;
    }
    if (args.launch_spec.block_num() < 1) {
        fatal(PTO2_ERROR_INVALID_ARGS, "set_block_num(%d): expected 1 or more",
              int(args.launch_spec.block_num()));
        return none;
    }
    if (kernels.aiv0_kernel_id < 0) {
        kernels.aiv0_kernel_id = kernels.aiv1_kernel_id;
        kernels.aiv1_kernel_id = -1;
    }
    const int32_t ids[] = {kernels.aic_kernel_id, kernels.aiv0_kernel_id, kernels.aiv1_kernel_id};
    pto2_submission submission{};
    submission.bytes = sizeof submission;
    bool has_kernel = false;
    for (int slot = 0; slot < PTO2_SLOTS; slot++) {
        if (ids[slot] < 0) continue;
        has_kernel = true;
        if (!kernel_of(ids[slot], &submission.kernels[slot])) return none;
    }
    static staged task; /* one thread, and nothing of it is looked at later */
    task.dependencies.clear();
    task.outputs = 0;
    task.has_filled = task.has_changed = false;
    for (int32_t i = 0; i < args.tensor_count(); i++) {
        if (!stage_tensor(task, i, args.tensor(i))) return none;
    }
    for (uint32_t i = 0; i < args.explicit_dep_count(); i++) {
        const PTO2TaskId id = args.explicit_dep(i);
        if (!id.is_valid()) {
            fatal(PTO2_ERROR_INVALID_ARGS, "set_dependencies: id %u is of no task", i);
            return none;
        }
        depend(task, id, (args.explicit_dep_kind(i) & DEP_RETAIN) != DEP_NONE);
    }
    uint64_t scalars[MAX_SCALAR_ARGS];
    for (int32_t i = 0; i < args.scalar_count(); i++) scalars[i] = args.scalar(i);
    pto2_predicate predicate{};
    pto2_tensor_handle operand;
    if (args.predicate().op != PredicateOp::NONE) {
        if (!set_predicate(args.predicate(), &operand, &predicate)) return none;
        submission.predicate = &predicate;
    }
    submission.arguments = task.arguments;
    submission.argument_count = uint32_t(args.tensor_count());
    submission.scalars = scalars;
    submission.scalar_count = uint32_t(args.scalar_count());
    submission.dependencies = task.dependencies.data();
    submission.dependency_count = uint32_t(task.dependencies.size());
    if (has_kernel && args.launch_spec.block_num() > 1) {
        submission.block_count = uint32_t(args.launch_spec.block_num());
        submission.require_sync_start = args.launch_spec.require_sync_start();
    }
    /* As without initial values: a task whose worker dies is run again. */
    const int kernel_count = (ids[0] >= 0) + (ids[1] >= 0) + (ids[2] >= 0);
    if (task.has_filled && !task.has_changed && kernel_count == 1 && submission.block_count <= 1) {
        submission.recovery = PTO2_RECOVERY_SNAPSHOT;
    }
    pto2_task id;
    if (failed(now.api->submit(now.graph, &submission, &id))) return none;
    const PTO2TaskId raw{id.id};
    now.scopes.back().tasks.push_back(id.id);
    return TaskOutputTensors(raw, keep_outputs(task, args, raw), task.outputs);
}

inline void begin_scope(PTO2ScopeMode mode) {
    run &now = current();
    if (now.fatal != 0) return;
    if (mode == PTO2ScopeMode::AUTO && now.scopes.back().is_manual) {
        fatal(PTO2_ERROR_INVALID_ARGS, "an AUTO scope inside of a MANUAL one");
        return;
    }
    const bool is_manual = mode == PTO2ScopeMode::MANUAL;
    if (failed(is_manual ? now.api->scope_begin_manual(now.graph)
                         : now.api->scope_begin(now.graph))) {
        return;
    }
    now.scopes.emplace_back();
    now.scopes.back().is_manual = is_manual;
}

inline void forget(scope &ended) {
    for (ChipTensor *outputs : ended.outputs) delete[] outputs;
}

inline void end_scope() {
    run &now = current();
    if (now.fatal != 0) return;
    if (now.scopes.size() < 2) {
        fatal(PTO2_ERROR_INVALID_ARGS, "rt_scope_end without rt_scope_begin");
        return;
    }
    if (failed(now.api->scope_end(now.graph))) return;
    forget(now.scopes.back());
    now.scopes.pop_back();
}

/* 15 seconds, as in the original; then error 8. */
inline constexpr uint64_t element_limit = 15000000000;

inline bool check_element(const ChipTensor &tensor, uint32_t rank, uint32_t bytes,
                          const char *what) {
    if (rank == tensor.ndims && bytes == get_element_size(tensor.dtype)) return true;
    fatal(PTO2_ERROR_INVALID_ARGS, "%s: %u indices and %u bytes for a tensor of rank %u and %s",
          what, rank, bytes, tensor.ndims, get_dtype_name(tensor.dtype));
    return false;
}

} // namespace pto2_compat

#endif
