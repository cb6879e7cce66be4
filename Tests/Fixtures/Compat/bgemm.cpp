// C = A B, by tiles; each tile of C is changed in place once a step of k.
#include "pto_orchestration_api.h"

extern "C" void aicpu_orchestration_entry(const ChipTaskArgs &args) {
    const ChipTensor &a = args.tensor(0).ref(), &b = args.tensor(1).ref(),
                     &c = args.tensor(2).ref();
    const uint32_t tile = from_u64<uint32_t>(args.scalar(0));
    const uint32_t shape[] = {tile, tile};
    for (uint32_t i = 0; i < a.shapes[0]; i += tile) {
        for (uint32_t j = 0; j < b.shapes[1]; j += tile) {
            const uint32_t at[] = {i, j};
            ChipTensor result = c.view(shape, at);
            for (uint32_t k = 0; k < a.shapes[1]; k += tile) {
                const uint32_t left[] = {i, k}, right[] = {k, j};
                ChipTensor x = a.view(shape, left), y = b.view(shape, right);
                CoreTaskArgs task;
                task.add_input(x, y);
                task.add_inout(result);
                task.add_scalar(1);
                task.set_allow_early_resolve(true);
                rt_submit_aic_task(0, task);
            }
        }
    }
}
