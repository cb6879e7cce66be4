// A long chain on one tensor among many tasks on others: 0 x [1] of the chain, 1 y [64].
#include "pto_orchestration_api.h"

extern "C" void aicpu_orchestration_entry(const ChipTaskArgs &args) {
    const ChipTensor &x = args.tensor(0).ref(), &y = args.tensor(1).ref();
    const uint32_t one[] = {1};
    for (uint32_t i = 0; i < 2000; i++) {
        CoreTaskArgs wide;
        const uint32_t at[] = {i % 64};
        ChipTensor part = y.view(one, at);
        wide.add_inout(part);
        wide.add_scalar(1.0f, 1.0f, 0);
        rt_submit_aiv_task(0, wide);
        if (i % 10 == 0) {
            CoreTaskArgs chain;
            chain.add_inout(x);
            chain.add_scalar(1.0f, 1.0f, 0);
            rt_submit_aiv_task(0, chain);
        }
    }
}
