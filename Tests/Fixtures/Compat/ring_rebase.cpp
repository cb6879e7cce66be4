// More outputs than the rings have room for, a scope after another, at several depths.
#include "pto_orchestration_api.h"

extern "C" void aicpu_orchestration_entry(const ChipTaskArgs &args) {
    const ChipTensor &x = args.tensor(0).ref();
    const uint32_t rounds = uint32_t(args.scalar(0));
    TensorCreateInfo info(x.shapes, 1);
    for (uint32_t round = 0; round < rounds; round++) {
        PTO2_SCOPE() {
            CoreTaskArgs up;
            up.add_input(x);
            up.add_output(info);
            up.add_scalar(1.0f, 1.0f);
            TaskOutputTensors ups = rt_submit_aiv_task(0, up);
            PTO2_SCOPE() {
                CoreTaskArgs twice, back;
                twice.add_input(ups.get_ref(0));
                twice.add_output(info);
                twice.add_scalar(2.0f, 0.0f);
                TaskOutputTensors twices = rt_submit_aiv_task(0, twice);
                back.add_input(twices.get_ref(0));
                back.add_output(x); // (2 (x + 1) - 2) / 2 + 1
                back.add_scalar(0.5f, 0.0f);
                rt_submit_aiv_task(0, back);
            }
        }
    }
}
