/* The vector kernels: initialisation, softmax of one group, online merge. */
#include "support.h"

#if defined(__x86_64__)
#define PA_LANES 16
#include "softmax_body.h"
#undef PA_LANES
#define PA_LANES 8
#include "softmax_body.h"
#undef PA_LANES
#endif
#define PA_LANES 4
#include "softmax_body.h"

/* acc = 0, m = -infinity, l = 0.
 * 0 acc [rows, hd] f32, 1 m [rows] f32, 2 l [rows] f32. */
void pa_init(const pto2_kernel_args *args) {
    const pto2_tensor *acc = &args->tensor[0];
    for (uint32_t r = 0; r < acc->shape[0]; r++) {
        float *row = (float *)args->data[0] + (int64_t)r * acc->strides[0];
        for (uint32_t d = 0; d < acc->shape[1]; d++) row[d] = 0;
        ((float *)args->data[1])[(int64_t)r * args->tensor[1].strides[0]] = -INFINITY;
        ((float *)args->data[2])[(int64_t)r * args->tensor[2].strides[0]] = 0;
    }
}

/* m = max over j < valid of scale * s[r, j]; p[r, j] = exp(scale * s[r, j] - m),
 * 0 for j >= valid; l = sum of p[r, j].
 * 0 scores [rows, n] f32, 1 p [rows, n] f32, 2 m [rows] f32, 3 l [rows] f32;
 * scalars: 0 valid, 1 scale (f32). */
void pa_softmax(const pto2_kernel_args *args) { PA_DISPATCH(pa_softmax, args); }

/* Merges one group into the running softmax; out = acc / l when is_last.
 * 0 o [rows, hd] f32, 1 m_new [rows], 2 l_new [rows], 3 acc [rows, hd] f32,
 * 4 m [rows], 5 l [rows], 6 out [rows, hd] f32; scalars: 0 is_last. */
void pa_update(const pto2_kernel_args *args) { PA_DISPATCH(pa_update, args); }
