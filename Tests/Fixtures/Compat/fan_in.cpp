// 124 outputs, into four sums of 31, into one.
#include "pto_orchestration_api.h"

extern "C" void aicpu_orchestration_entry(const ChipTaskArgs &args) {
    const ChipTensor &x = args.tensor(0).ref(), &total = args.tensor(1).ref();
    const uint32_t one[] = {1};
    TensorCreateInfo info(x.shapes, 1), single(one, 1);
    TaskOutputTensors sums[4];
    for (int group = 0; group < 4; group++) {
        CoreTaskArgs sum;
        for (int i = 0; i < 31; i++) {
            CoreTaskArgs task;
            task.add_input(x);
            task.add_output(info);
            task.add_scalar(1.0f, float(31 * group + i));
            TaskOutputTensors outputs = rt_submit_aiv_task(0, task);
            sum.add_input(outputs.get_ref(0));
        }
        sum.add_output(single);
        sum.add_scalar(31);
        sums[group] = rt_submit_aiv_task(1, sum);
    }
    CoreTaskArgs last;
    for (const TaskOutputTensors &sum : sums) last.add_input(sum.get_ref(0));
    last.add_output(total);
    last.add_scalar(4);
    rt_submit_aiv_task(1, last);
}
