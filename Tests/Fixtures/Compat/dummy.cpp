// In a manual scope a task without a kernel orders others: x = 2 x, slowly, then x + 3.
#include "pto_arg_with_deps.h"

extern "C" void aicpu_orchestration_entry(const ChipTaskArgs &args) {
    const ChipTensor &x = args.tensor(0).ref();
    PTO2_SCOPE(PTO2ScopeMode::MANUAL) {
        PTO2TaskId done[2];
        for (uint32_t half = 0; half < 2; half++) {
            const uint32_t shape[] = {x.shapes[0] / 2}, at[] = {half * shape[0]};
            ChipTensor part = x.view(shape, at);
            CoreTaskArgs twice;
            twice.add_inout(part);
            twice.add_scalar(2.0f, 0.0f, 20000);
            done[half] = rt_submit_aiv_task(0, twice).task_id();
        }
        CoreTaskArgs both;
        both.set_dependencies(done, 2);
        const PTO2TaskId barrier = rt_submit_dummy_task(both).task_id();
        CoreTaskArgsWithDeps<1> more;
        more.add_inout(x);
        more.add_scalar(1.0f, 3.0f, 0);
        more.add_dep(barrier);
        rt_submit_aiv_task(0, more);
    }
}
