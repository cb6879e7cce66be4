// As many blocks as there are vector cores begin together and wait for each other.
#include "pto_orchestration_api.h"

extern "C" void aicpu_orchestration_entry(const ChipTaskArgs &args) {
    const int32_t cores = rt_available_aiv_count();
    if (cores != 2 * rt_available_cluster_count()) {
        rt_report_fatal(PTO2_ERROR_INVALID_ARGS, "%d vector cores", int(cores));
        return;
    }
    for (uint32_t round = 0; round < 10; round++) {
        const uint32_t counter_shape[] = {1}, shape[] = {1, uint32_t(cores)}, at[] = {round, 0};
        const uint32_t counter_at[] = {round};
        ChipTensor counter = args.tensor(0).ref().view(counter_shape, counter_at);
        ChipTensor out = args.tensor(1).ref().view(shape, at);
        CoreTaskArgs task;
        task.add_inout(counter, out);
        task.launch_spec.set_block_num(int16_t(cores));
        task.launch_spec.set_require_sync_start(true);
        rt_submit_aiv_task(0, task);
    }
}
