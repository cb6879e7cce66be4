// What the scalar says goes wrong.
#include "pto_orchestration_api.h"

#include <stdexcept>

extern "C" PTO2OrchestrationConfig aicpu_orchestration_config(const ChipTaskArgs &) {
    return {2};
}

extern "C" void aicpu_orchestration_entry(const ChipTaskArgs &args) {
    const ChipTensor &x = args.tensor(0).ref();
    TensorCreateInfo info(x.shapes, 1);
    CoreTaskArgs task;
    PTO2TaskId none = PTO2TaskId::invalid();
    task.add_inout(x);
    switch (args.scalar(0)) {
    case 0: rt_report_fatal(9, "no more than %d", 3); break;
    case 1: rt_report_fatal(PTO2_ERROR_INVALID_ARGS, "wrong shape %u", x.shapes[0]); break;
    case 2:
        task.launch_spec.set_block_num(1000);
        task.launch_spec.set_require_sync_start(true);
        rt_submit_aiv_task(0, task);
        break;
    case 3: {
        ChipTensor late;
        PTO2_SCOPE() {
            CoreTaskArgs early;
            early.add_output(info);
            TaskOutputTensors outputs = rt_submit_dummy_task(early);
            late = outputs.get_ref(0);
        }
        CoreTaskArgs use;
        use.add_input(late);
        rt_submit_aiv_task(0, use);
        break;
    }
    case 4: rt_submit_aiv_task(0, task); break; // the kernel crashes
    case 5: rt_submit_aiv_task(7, task); break;
    case 6:
        task.add_scalar(1);
        task.add_input(x);
        rt_submit_aiv_task(0, task);
        break;
    case 7:
        task.set_dependencies(&none, 1);
        rt_submit_aiv_task(0, task);
        break;
    case 8: {
        PTO2_SCOPE(PTO2ScopeMode::MANUAL) {
            PTO2_SCOPE() { rt_submit_aiv_task(0, task); }
        }
        break;
    }
    case 9: {
        int foreign[4] = {};
        const uint32_t shape[] = {4};
        ChipTensor tensor = make_tensor_external(foreign, shape, 1, DataType::INT32);
        task.add_input(tensor);
        break;
    }
    case 10: throw std::runtime_error("out of luck");
    case 11: {
        const uint32_t shape[] = {x.shapes[0] + 1}, at[] = {0};
        ChipTensor view = x.view(shape, at);
        break;
    }
    case 12: rt_scope_begin(); break;
    case 13: {
        const uint32_t shape[] = {1, 2};
        TensorCreateInfo four(shape, 2, DataType::FP4E2M1);
        alloc_tensors(four);
        break;
    }
    default: break;
    }
    // What comes after the first error does nothing.
    if (rt_is_fatal()) {
        rt_report_fatal(3, "another");
        CoreTaskArgs more;
        more.add_output(info);
        TaskOutputTensors outputs = rt_submit_aiv_task(0, more);
        const ChipTensor &empty = outputs.get_ref(0);
        (void)empty;
    }
}
