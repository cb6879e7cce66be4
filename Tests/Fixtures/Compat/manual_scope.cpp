// x [4, n]: each row by itself in a chain of three by ids, and all together after them.
#include "pto_arg_with_deps.h"

extern "C" void aicpu_orchestration_entry(const ChipTaskArgs &args) {
    const ChipTensor &x = args.tensor(0).ref();
    const uint32_t shape[] = {1, x.shapes[1]};
    PTO2TaskId ends[4];
    PTO2_SCOPE_GUARD(PTO2ScopeMode::MANUAL);
    for (uint32_t row = 0; row < 4; row++) {
        const uint32_t at[] = {row, 0};
        ChipTensor part = x.view(shape, at);
        PTO2TaskId before = PTO2TaskId::invalid();
        for (uint32_t step = 0; step < 3; step++) {
            CoreTaskArgsWithDeps<> task;
            task.add_inout(part);
            task.add_scalar(2.0f, float(step + row), (3 - step) * 3000);
            if (before.is_valid()) task.add_dep_wait(before);
            before = rt_submit_aiv_task(0, task).task_id();
        }
        ends[row] = before;
    }
    CoreTaskArgs last;
    last.add_inout(x);
    last.add_scalar(-1.0f, 0.0f, 0);
    const DepFlags kinds[] = {DEP_WAIT, DEP_WAIT | DEP_RETAIN, DEP_WAIT, DEP_WAIT};
    last.set_dependencies_with_kinds(ends, kinds, 4);
    rt_submit_aiv_task(0, last);
}
