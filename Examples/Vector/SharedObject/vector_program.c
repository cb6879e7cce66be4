/* ((a + b) + 1) * ((a + b) + 2) as a program in C, run by
 *
 *     pto2-orchestrator --program libVectorProgram.so -- [elements]
 */
#include "vector_program.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

const char *const *pto2_program_images(void) {
    static const char *const images[] = {"VectorKernels", NULL};
    return images;
}

/* One vector task: inputs, then one output or in-place tensor, then a scalar. */
static pto2_error vector_task(const pto2_program_api *api, pto2_graph *graph, const char *kernel,
                              const pto2_argument *arguments, uint32_t count,
                              const uint64_t *scalar) {
    pto2_submission submission = {
        .bytes = sizeof submission,
        .kernel_names = {NULL, kernel, NULL},
        .arguments = arguments,
        .argument_count = count,
        .scalars = scalar,
        .scalar_count = scalar ? 1 : 0,
    };
    return api->submit(graph, &submission, NULL);
}

int32_t pto2_program_main(const pto2_program_api *api, pto2_graph *graph, int32_t argc,
                          const char *const *argv) {
    long elements = argc > 1 ? strtol(argv[1], NULL, 10) : 65536;
    if (elements < 1 || elements > 1 << 28)
        return api->fail(graph, "the number of elements must be 1 to 268435456");
    uint32_t shape[1] = {(uint32_t)elements};

    pto2_tensor_handle a, b, result;
    if (api->external_tensor(graph, PTO2_FLOAT32, 1, shape, &a) ||
        api->external_tensor(graph, PTO2_FLOAT32, 1, shape, &b) ||
        api->external_tensor(graph, PTO2_FLOAT32, 1, shape, &result))
        return 1;
    float *pa = api->data(graph, &a), *pb = api->data(graph, &b);
    for (long i = 0; i < elements; i++) {
        pa[i] = (float)(i % 1000) * 0.5f;
        pb[i] = (float)(i % 777) * 0.25f;
    }

    pto2_tensor_handle sum, one, two;
    const uint64_t scalar_one = pto2_float_bits(1), scalar_two = pto2_float_bits(2);
    const pto2_argument add[] = {pto2_use(PTO2_INPUT, &a), pto2_use(PTO2_INPUT, &b),
                                 pto2_output(PTO2_FLOAT32, 1, shape, &sum)};
    const pto2_argument plus_one[] = {pto2_use(PTO2_INPUT, &sum),
                                      pto2_output(PTO2_FLOAT32, 1, shape, &one)};
    const pto2_argument plus_two[] = {pto2_use(PTO2_INPUT, &sum),
                                      pto2_output(PTO2_FLOAT32, 1, shape, &two)};
    const pto2_argument multiply[] = {pto2_use(PTO2_INPUT, &one), pto2_use(PTO2_INPUT, &two),
                                      pto2_use(PTO2_INOUT, &result)};
    if (vector_task(api, graph, "vec_add", add, 3, NULL) ||
        vector_task(api, graph, "vec_add_scalar", plus_one, 2, &scalar_one) ||
        vector_task(api, graph, "vec_add_scalar", plus_two, 2, &scalar_two) ||
        vector_task(api, graph, "vec_mul", multiply, 3, NULL) || api->wait(graph))
        return 1;

    const float *out = api->data(graph, &result);
    for (long i = 0; i < elements; i++) {
        float s = pa[i] + pb[i];
        if (out[i] != (s + 1) * (s + 2)) {
            char message[80];
            snprintf(message, sizeof message, "element %ld is %g, expected %g", i, out[i],
                     (s + 1) * (s + 2));
            return api->fail(graph, message);
        }
    }
    fprintf(stderr, "%ld elements verified\n", elements);
    return 0;
}
