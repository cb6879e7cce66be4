// Blocks of a vector task, of a mixed one, and one block that says so.
#include "pto_orchestration_api.h"

extern "C" void aicpu_orchestration_entry(const ChipTaskArgs &args) {
    CoreTaskArgs vector;
    vector.add_inout(args.tensor(0).ref());
    vector.launch_spec.set_block_num(12);
    rt_submit_aiv_task(0, vector);

    CoreTaskArgs mixed;
    mixed.add_inout(args.tensor(1).ref());
    mixed.launch_spec.set_block_num(5);
    MixedKernels kernels;
    kernels.aiv0_kernel_id = 0;
    kernels.aiv1_kernel_id = 0;
    rt_submit_task(kernels, mixed);

    CoreTaskArgs one;
    one.add_inout(args.tensor(2).ref());
    rt_submit_aiv_task(0, one);
}
