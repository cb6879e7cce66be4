// f = (a + b + 1) (a + b + 2) + (a + b).
#include "pto_orchestration_api.h"

extern "C" {

PTO2OrchestrationConfig aicpu_orchestration_config(const ChipTaskArgs &) {
    return PTO2OrchestrationConfig{.expected_arg_count = 3};
}

void aicpu_orchestration_entry(const ChipTaskArgs &args) {
    const ChipTensor &a = args.tensor(0).ref(), &b = args.tensor(1).ref(),
                     &f = args.tensor(2).ref();
    TensorCreateInfo info(a.shapes, a.ndims, a.dtype);
    LOG_INFO("%u elements", a.shapes[0]);

    CoreTaskArgs sum;
    sum.add_input(a, b);
    sum.add_output(info);
    sum.add_scalar(0);
    const TaskOutputTensors sums = rt_submit_aiv_task(0, sum);
    const ChipTensor &c = sums.get_ref(0);
    PTO2_SCOPE() {
        CoreTaskArgs first, second, product, last;
        first.add_input(c);
        first.add_output(info);
        first.add_scalar(1.0f, 1.0f);
        TaskOutputTensors firsts = rt_submit_aiv_task(1, first);
        second.add_input(c);
        second.add_output(info);
        second.add_scalar(1.0f, 2.0f);
        TaskOutputTensors seconds = rt_submit_aiv_task(1, second);
        product.add_input(firsts.get_ref(0), seconds.get_ref(0));
        product.add_output(info);
        product.add_scalar(1);
        TaskOutputTensors products = rt_submit_aiv_task(0, product);
        last.add_input(products.get_ref(0), c);
        last.add_output(f);
        last.add_scalar(0);
        rt_submit_aiv_task(0, last);
    }
}
}
