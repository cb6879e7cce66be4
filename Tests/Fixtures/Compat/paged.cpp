// Attention of one query a sequence over keys and values that lie in blocks, in an order
// that a table has. Tensors: Q [b, h, d], K and V [blocks, n, 1, d], table int32 [b, most],
// lengths int32 [b], out [b, h, d]; scalar: the scale, float.
#include "pto_orchestration_api.h"

extern "C" void aicpu_orchestration_entry(const ChipTaskArgs &args) {
    const ChipTensor &q = args.tensor(0).ref(), &out = args.tensor(5).ref();
    const uint32_t batch = q.shapes[0], heads = q.shapes[1], size = q.shapes[2];
    const uint32_t length = args.tensor(1).ref().shapes[1];
    const uint32_t rows = args.tensor(1).ref().shapes[0] * length;
    const uint32_t most = args.tensor(3).ref().shapes[1];
    const int32_t *table = args.tensor(3).ref().data_as<int32_t>();
    const int32_t *lengths = args.tensor(4).ref().data_as<int32_t>();
    const float scale = from_u64<float>(args.scalar(0));

    const uint32_t flat[] = {rows, size};
    ChipTensor keys = make_tensor_external(args.tensor(1).ref().data_as<void>(), flat, 2);
    ChipTensor values = make_tensor_external(args.tensor(2).ref().data_as<void>(), flat, 2);
    const uint32_t all[] = {batch * heads, size};
    ChipTensor queries = q.reshape(all, 2), results = out.reshape(all, 2);

    for (uint32_t b = 0; b < batch; b++) {
        PTO2_SCOPE() {
            const uint32_t mine[] = {heads, size}, at[] = {b * heads, 0}, row[] = {heads};
            ChipTensor query = queries.view(mine, at), result = results.view(mine, at);
            TensorCreateInfo vector(row, 1), tile(mine, 2);
            TaskOutputTensors state = alloc_tensors(vector, vector, tile);
            const ChipTensor &m = state.get_ref(0), &l = state.get_ref(1), &o = state.get_ref(2);
            const uint32_t blocks = (uint32_t(lengths[b]) + length - 1) / length;
            for (uint32_t i = 0; i < blocks; i++) {
                const uint32_t count =
                    i + 1 < blocks ? length : uint32_t(lengths[b]) - i * length;
                const uint32_t part[] = {count, size};
                const uint32_t from[] = {uint32_t(table[b * most + i]) * length, 0};
                ChipTensor key = keys.view(part, from), value = values.view(part, from);
                const uint32_t scores_shape[] = {heads, count};
                TensorCreateInfo scores(scores_shape, 2);

                CoreTaskArgs qk;
                qk.add_input(query, key);
                qk.add_output(scores);
                qk.add_scalar(scale);
                TaskOutputTensors s = rt_submit_aic_task(0, qk);

                CoreTaskArgs softmax;
                softmax.add_inout(s.get_ref(0));
                softmax.add_output(vector, vector);
                TaskOutputTensors p = rt_submit_aiv_task(1, softmax);

                CoreTaskArgs pv;
                pv.add_input(s.get_ref(0), value);
                pv.add_output(tile);
                pv.add_scalar(0);
                TaskOutputTensors part_of_o = rt_submit_aic_task(2, pv);

                CoreTaskArgs update;
                update.add_input(p.get_ref(0), p.get_ref(1), part_of_o.get_ref(0));
                update.add_inout(m, l, o);
                update.add_inout(result);
                update.add_scalar(i == 0, i + 1 == blocks);
                rt_submit_aiv_task(3, update);
            }
        }
    }
}
