// x = 2 x + 1 through an output, once a round.
#include "pto_orchestration_api.h"

extern "C" void aicpu_orchestration_entry(const ChipTaskArgs &args) {
    const ChipTensor &x = args.tensor(0).ref();
    TensorCreateInfo info(x.shapes, 1);
    CoreTaskArgs out, back;
    out.add_input(x);
    out.add_output(info);
    out.add_scalar(2.0f, 0.0f);
    TaskOutputTensors outputs = rt_submit_aiv_task(0, out);
    back.add_input(outputs.get_ref(0));
    back.add_output(x);
    back.add_scalar(1.0f, 1.0f);
    rt_submit_aiv_task(0, back);
}
