/* Elementwise kernels over contiguous f32 tensors of equal element count. */
#include "vector_kernels.h"

/* out = a + b. 0 a, 1 b, 2 out. */
void vec_add(const pto2_kernel_args *args) {
    const float *a = args->data[0], *b = args->data[1];
    float *out = args->data[2];
    const size_t count = args->tensor[2].element_count;
    for (size_t i = 0; i < count; i++) out[i] = a[i] + b[i];
}

/* out = a + scalar. 0 a, 1 out; scalars: 0 f32. */
void vec_add_scalar(const pto2_kernel_args *args) {
    const float *a = args->data[0];
    float *out = args->data[1];
    const float scalar = pto2_scalar_f32(args, 0);
    const size_t count = args->tensor[1].element_count;
    for (size_t i = 0; i < count; i++) out[i] = a[i] + scalar;
}

/* out = a * b. 0 a, 1 b, 2 out. */
void vec_mul(const pto2_kernel_args *args) {
    const float *a = args->data[0], *b = args->data[1];
    float *out = args->data[2];
    const size_t count = args->tensor[2].element_count;
    for (size_t i = 0; i < count; i++) out[i] = a[i] * b[i];
}

PTO2_KERNELS({"vec_add", vec_add, PTO2_AIV},
             {"vec_add_scalar", vec_add_scalar, PTO2_AIV},
             {"vec_mul", vec_mul, PTO2_AIV})
