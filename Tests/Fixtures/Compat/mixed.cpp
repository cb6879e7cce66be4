// One task on all three cores of a cluster, by tensors of which each kernel takes its own:
// 0 x [2, n], 1 y [2, n] (both vector cores). Then a matrix product and one vector core.
#include "pto_orchestration_api.h"

extern "C" void aicpu_orchestration_entry(const ChipTaskArgs &args) {
    const ChipTensor &x = args.tensor(0).ref(), &y = args.tensor(1).ref();
    MixedKernels both;
    both.aic_kernel_id = 2; // looks at nothing of it
    both.aiv0_kernel_id = 0;
    both.aiv1_kernel_id = 0;
    CoreTaskArgs halves;
    halves.add_input(x);
    halves.add_inout(y);
    rt_submit_task(both, halves);

    // A second vector core alone becomes the first one.
    MixedKernels alone;
    alone.aiv1_kernel_id = 1;
    CoreTaskArgs negated;
    negated.add_inout(y);
    negated.add_scalar(2.0f, 1.0f, 0);
    rt_submit_task(alone, negated);
}
