// 0 x [6, 8] to 1 y [8, 6]: transposed; 2 z [3, 4]: every second; 3 bits int32 [48] of x, by
// address; 4 w [1].
#include "pto_orchestration_api.h"

static void copy(const ChipTensor &from, const ChipTensor &to) {
    CoreTaskArgs task;
    task.add_input(from);
    task.add_output(to);
    task.add_scalar(1.0f, 0.0f);
    rt_submit_aiv_task(0, task);
}

extern "C" void aicpu_orchestration_entry(const ChipTaskArgs &args) {
    const ChipTensor &x = args.tensor(0).ref(), &y = args.tensor(1).ref(),
                     &z = args.tensor(2).ref(), &w = args.tensor(4).ref();
    const uint32_t order[] = {1, 0};
    copy(x.transpose(0, 1), y);
    ChipTensor back = y.permute(order); // [6, 8] again
    copy(back.slice(0, 0, 6, 2).slice(1, 1, 8, 2), z);

    const uint32_t none[] = {0, 8}, far[] = {9, 9}, all[] = {1, 48};
    ChipTensor empty = x.view(none, far);
    if (empty.numel() != 0 || x.numel() != 48 || back.is_contiguous || !x.is_contiguous) {
        rt_report_fatal(9, "what views say of themselves");
    }
    copy(empty, empty);

    ChipTensor words = make_tensor_external(x.data_as<float>(), all, 2, DataType::INT32);
    ChipTensor target = args.tensor(3).ref().reshape(all, 2);
    // Bits of a float, copied as floats.
    ChipTensor floats = make_tensor_external(x.data_as<float>(), all, 2);
    ChipTensor same = make_tensor_external(target.data_as<int32_t>(), all, 2);
    copy(floats, same);
    const uint32_t at[] = {0, 5};
    const int32_t bits = get_tensor_data<int32_t>(words, 2, at);

    // Ordered after its creator alone: the slow one in between is not waited for by the
    // runtime, but its id is.
    const uint32_t one[] = {1};
    TensorCreateInfo info(one, 1);
    info.set_initial_value(float(bits == get_tensor_data<int32_t>(target, 2, at)));
    CoreTaskArgs first, second;
    first.add_output(info);
    first.add_scalar(4.0f, 2.0f, 20000);
    TaskOutputTensors outputs = rt_submit_aiv_task(1, first);
    second.add_no_dep(outputs.get_ref(0));
    second.add_output(w);
    second.add_scalar(1.0f, 0.5f);
    rt_submit_aiv_task(0, second);
}
