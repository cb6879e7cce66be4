// Outputs with an initial value, which their tasks change in place, one after another: 2 * round
// + 1 in each row. Tensor 0: out [rounds, n].
#include "pto_orchestration_api.h"

extern "C" void aicpu_orchestration_entry(const ChipTaskArgs &args) {
    const ChipTensor &out = args.tensor(0).ref();
    const uint32_t shape[] = {1, out.shapes[1]};
    PTO2TaskId last = PTO2TaskId::invalid();
    for (uint32_t round = 0; round < out.shapes[0]; round++) {
        PTO2_SCOPE() {
            TensorCreateInfo info(shape, 2);
            info.set_initial_value(float(round));
            CoreTaskArgs change, copy;
            change.add_output(info);
            change.add_scalar(2.0f, 1.0f, 0);
            change.set_dependencies(&last, round > 0 ? 1 : 0);
            TaskOutputTensors changed = rt_submit_aiv_task(0, change);
            const uint32_t at[] = {round, 0};
            ChipTensor row = out.view(shape, at);
            copy.add_input(changed.get_ref(0));
            copy.add_output(row);
            copy.add_scalar(1.0f, 0.0f);
            last = rt_submit_aiv_task(1, copy).task_id();
        }
    }
}
