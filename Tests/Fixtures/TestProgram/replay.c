/* Tasks that are recorded once and replayed n times. */
#include "scenes.h"

enum { WIDTH = 6 };

/* A task with the scalars `first`, unless `hole` is not 0, and 0. */
static int32_t step(const char *kernel, const pto2_argument *arguments, uint32_t count,
                    uint64_t first, uint32_t hole) {
    const uint64_t scalars[2] = {first, 0};
    const uint32_t holes[2] = {hole, 0};
    const pto2_submission task = {.bytes = sizeof task, .kernel_names = {NULL, kernel, NULL},
                                  .arguments = arguments, .argument_count = count,
                                  .scalars = scalars, .scalar_count = 2,
                                  .scalar_holes = holes};
    return api->submit(graph, &task, NULL);
}

/* Adds scalar 0 and then 1 to x, puts out its sum, adds 1 to that, and to z. */
static int32_t body(pto2_tensor_handle *x, pto2_tensor_handle *z, pto2_tensor_handle *sum) {
    const uint32_t one = 1;
    const pto2_argument on_x[] = {pto2_use(PTO2_INOUT, x)};
    const pto2_argument on_z[] = {pto2_use(PTO2_INOUT, z)};
    const pto2_argument adding[] = {pto2_use(PTO2_INPUT, x),
                                    pto2_output(PTO2_INT64, 1, &one, sum)};
    if (step("t_add", on_x, 1, 99, 1) || step("t_add", on_x, 1, 1, 0) ||
        step("t_sum", adding, 2, 0, 0))
        return 1;
    const pto2_argument on_sum[] = {pto2_use(PTO2_INOUT, sum)};
    return step("t_add", on_sum, 1, 1, 0) || step("t_add", on_z, 1, 1, 0);
}

static int32_t read_element(const char *what, const pto2_tensor_handle *tensor,
                            int64_t expected) {
    const uint32_t index = 0;
    int64_t found = 0;
    return api->get(graph, tensor, &index, PTO2_FOREVER, &found) || expect(what, found, expected);
}

int32_t replay(uint64_t n) {
    pto2_tensor_handle tensors[WIDTH], z, sum;
    int64_t *data[WIDTH], expected[WIDTH] = {0};
    for (int i = 0; i < WIDTH; i++)
        if (!(data[i] = external(&tensors[i], 3))) return 1;
    int64_t *count = external(&z, 1);
    if (!count) return 1;
    uint64_t scalar = 5;
    pto2_holes holes = {.bytes = sizeof holes, .tensor_count = 1, .tensors = tensors,
                        .scalars = &scalar, .scalar_count = 1};
    pto2_template template;
    if (api->scope_begin(graph) || api->record_begin(graph, &holes) ||
        body(&tensors[0], &z, &sum) || api->record_end(graph, &sum, 1, &template) ||
        read_element("the recorded sum", &sum, 3 * 6 + 1) || api->scope_end(graph))
        return 1;
    expected[0] = 6;
    for (uint64_t round = 0; round < n; round++) {
        const int i = (int)(round * 5 % WIDTH);
        pto2_tensor_handle output;
        pto2_task tasks[5];
        scalar = round;
        holes.tensors = &tensors[i];
        expected[i] += (int64_t)round + 1;
        if (api->scope_begin(graph) || api->replay(graph, template, &holes, &output, tasks) ||
            expect("tasks of a replay", (uint32_t)(tasks[4].id - tasks[0].id), 4))
            return 1;
        if (round % 4 == 0 && read_element("a sum", &output, 3 * expected[i] + 1)) return 1;
        if (api->scope_end(graph)) return 1;
    }
    if (api->wait(graph)) return 1;
    for (int i = 0; i < WIDTH; i++)
        for (int k = 0; k < 3; k++)
            if (expect("an element", data[i][k], expected[i])) return 1;
    /* z is no hole: the same in every replay. */
    if (expect("what all replays share", *count, (int64_t)n + 1)) return 1;
    return api->template_free(graph, template);
}

/* Which misuse; ends the run with error 5. */
int32_t misused_replay(uint64_t which) {
    pto2_tensor_handle x, y;
    if (!external(&x, 3) || !external(&y, 4)) return 1;
    pto2_template template = {0};
    pto2_holes holes = {.bytes = sizeof holes, .tensor_count = 1, .tensors = &x};
    const pto2_argument on_x[] = {pto2_use(PTO2_INOUT, &x)};
    if (which == 0) return api->replay(graph, template, &holes, NULL, NULL);
    if (which == 1) return api->record_end(graph, NULL, 0, &template);
    if (which == 2) return step("t_add", on_x, 1, 0, 1);
    if (api->record_begin(graph, &holes) || step("t_add", on_x, 1, 1, 0)) return 1;
    if (which == 3) return api->record_begin(graph, &holes);
    if (which == 4) return api->record_end(graph, NULL, 1, &template);
    if (api->record_end(graph, NULL, 0, &template)) return 1;
    if (which == 5) return api->replay(graph, template, NULL, NULL, NULL);
    holes.tensors = &y;
    if (which == 6) return api->replay(graph, template, &holes, NULL, NULL);
    if (api->template_free(graph, template)) return 1;
    return api->replay(graph, template, &holes, NULL, NULL);
}
