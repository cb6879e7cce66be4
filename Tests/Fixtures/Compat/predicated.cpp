// Tensors: gates int32 [n] and float [n], x float [12]. Task i multiplies x[i] by 3 and adds
// 1 if gate i holds: operators in their order, on whole numbers, then on bits of floats. A kernel
// of this run writes the gates.
#include "pto_orchestration_api.h"

static void submit(const ChipTensor &x, const ChipTensor &gate, uint32_t element, uint32_t place,
                   PredicateOp op, int64_t target, PTO2TaskId after) {
    const uint32_t shape[] = {1}, at[] = {place};
    ChipTensor part = x.view(shape, at);
    CoreTaskArgs task;
    task.add_inout(part);
    task.add_scalar(3.0f, 1.0f, 0);
    CoreTaskPredicate predicate;
    predicate.operand.tensor = &gate;
    predicate.operand.ndims = 1;
    predicate.operand.indices[0] = element;
    predicate.op = op;
    predicate.target = target;
    task.set_predicate(predicate);
    if (after.is_valid()) task.set_dependencies(&after, 1);
    rt_submit_aiv_task(0, task);
}

extern "C" void aicpu_orchestration_entry(const ChipTaskArgs &args) {
    const ChipTensor &whole = args.tensor(0).ref(), &real = args.tensor(1).ref(),
                     &x = args.tensor(2).ref();
    // The floats are -1 and 2 at first; doubled and 1 more: -1 and 5.
    CoreTaskArgs writer;
    writer.add_inout(real);
    writer.add_scalar(2.0f, 1.0f, 5000);
    const PTO2TaskId written = rt_submit_aiv_task(0, writer).task_id();
    for (int op = 1; op <= 6; op++) {
        submit(x, whole, uint32_t(op) % whole.shapes[0], uint32_t(op - 1), PredicateOp(op), -2,
               PTO2TaskId::invalid());
        // Bits of 5.0f, sign-extended.
        submit(x, real, uint32_t(op) % real.shapes[0], uint32_t(op + 5), PredicateOp(op),
               int64_t(0x40A00000), written);
    }
}
