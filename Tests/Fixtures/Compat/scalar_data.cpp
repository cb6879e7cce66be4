// Elements and scalars between program and kernels. 0 x float [4], 1 out uint64 [8].
#include "pto_orchestration_api.h"

enum class Kind : uint8_t { FIRST = 3 };

extern "C" void aicpu_orchestration_entry(const ChipTaskArgs &args) {
    const ChipTensor &x = args.tensor(0).ref(), &out = args.tensor(1).ref();
    const uint32_t first[] = {0}, second[] = {1}, last[] = {3};
    TensorCreateInfo info(x.shapes, 1);
    info.set_initial_value(77.0f);
    CoreTaskArgs filled;
    filled.add_output(info);
    filled.add_scalar(2.0f, 1.0f, 0);
    const TaskOutputTensors outputs = rt_submit_aiv_task(1, filled);
    const ChipTensor &y = outputs.get_ref(0);
    const float doubled = get_tensor_data<float>(y, 1, last); // 2 * 77 + 1
    set_tensor_data(x, 1, first, doubled);

    CoreTaskArgs change; // of all: 3 x - 2
    change.add_inout(x);
    change.add_scalar(3.0f, -2.0f, 1000);
    rt_submit_aiv_task(1, change);
    const uint32_t bits = get_tensor_data<uint32_t>(x, 1, first);
    set_tensor_data(x, 1, second, from_u64<float>(bits) + 1);

    const uint64_t more[] = {1, UINT64_MAX};
    const int32_t narrow[] = {-1};
    CoreTaskArgs scalars, copies;
    scalars.add_output(out);
    scalars.add_scalar(1.5f, int32_t(-2), int64_t(-3), Kind::FIRST);
    scalars.add_scalars(more, 2);
    scalars.add_scalars_i32(narrow, 1);
    copies.add_output(out);
    copies.copy_scalars_from(scalars, 0, 7);
    copies.add_scalar(args.scalar(0));
    rt_submit_aiv_task(0, copies);
}
