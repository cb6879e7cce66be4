/* pa_softmax and pa_update for one PA_LANES; see softmax.c. */
#include "lanes.h"

#ifndef PA_SOFTMAX_ONCE
#define PA_SOFTMAX_ONCE

#define PA_EXP_LOWEST -87.0f /* below it, exp is taken as 0 */

/* y = exp(x), x <= 0 or NaN, for a vector type F with integer types I, U.
 * x = n ln 2 + r, |r| <= ln 2 / 2; a polynomial of degree 6 in r; times 2^n.
 * Adding and taking away 1.5 * 2^23 rounds to an integer. */
#define PA_EXP(F, I, U, y, x)                                               \
    do {                                                                    \
        F in_ = (x);                                                        \
        I under_ = in_ < (F){0} + PA_EXP_LOWEST;                            \
        F c_ = (F)(((I)in_ & ~under_) | ((I)((F){0} + PA_EXP_LOWEST) & under_)); \
        F n_ = (c_ * 1.44269504f + 12582912.0f) - 12582912.0f;              \
        F r_ = (c_ - n_ * 0.693359375f) + n_ * 2.12194440e-4f;              \
        F e_ = r_ * 1.9875691500e-4f + 1.3981999507e-3f;                    \
        e_ = e_ * r_ + 8.3334519073e-3f;                                    \
        e_ = e_ * r_ + 4.1665795894e-2f;                                    \
        e_ = e_ * r_ + 1.6666665459e-1f;                                    \
        e_ = e_ * r_ + 5.0000001201e-1f;                                    \
        e_ = (e_ * r_) * r_ + (r_ + 1.0f);                                  \
        U power_ = ((U)(n_ + 12582912.0f) - 0x4B400000u + 127u) << 23;      \
        (y) = (F)((I)(e_ * (F)power_) & ~under_);                           \
    } while (0)

typedef float pa_f1 __attribute__((vector_size(4)));
typedef int32_t pa_i1 __attribute__((vector_size(4)));
typedef uint32_t pa_u1 __attribute__((vector_size(4)));

static inline float pa_exp(float x) {
    pa_f1 in = {x}, out;
    PA_EXP(pa_f1, pa_i1, pa_u1, out, in);
    return out[0];
}
#endif

PA_TARGET static void PA_NAME(pa_softmax)(const pto2_kernel_args *args) {
    const pto2_tensor *scores = &args->tensor[0], *p = &args->tensor[1];
    const size_t rows = p->shape[0], width = p->shape[1];
    const size_t valid = pa_valid(args, 0, width), whole = valid - valid % PA_LANES;
    const float scale = pto2_scalar_f32(args, 1);

    for (size_t r = 0; r < rows; r++) {
        const float *s = (const float *)args->data[0] + (int64_t)r * scores->strides[0];
        float *to = (float *)args->data[1] + (int64_t)r * p->strides[0];
        float lanes[PA_LANES], tail[PA_LANES];
        /* The columns after the last whole vector, filled up with -infinity. */
        for (size_t j = 0; j < PA_LANES; j++)
            tail[j] = whole + j < valid ? s[whole + j] * scale : -INFINITY;

        PA_F most = PA_LOAD(tail);
        for (size_t j = 0; j < whole; j += PA_LANES) {
            PA_F x = PA_LOAD(s + j) * scale;
            PA_I more = x > most;
            most = (PA_F)(((PA_I)x & more) | ((PA_I)most & ~more));
        }
        PA_STORE(lanes, most);
        float m = -INFINITY;
        for (int i = 0; i < PA_LANES; i++) m = lanes[i] > m ? lanes[i] : m;
        const float shift = m == -INFINITY ? 0 : m; /* no -inf - -inf */

        PA_F sum = {0}, y;
        for (size_t j = 0; j < whole; j += PA_LANES) {
            PA_F x = PA_LOAD(s + j) * scale;
            PA_EXP(PA_F, PA_I, PA_U, y, x - shift);
            PA_STORE(to + j, y);
            sum += y;
        }
        PA_EXP(PA_F, PA_I, PA_U, y, PA_LOAD(tail) - shift);
        sum += y;
        PA_STORE(tail, y);
        for (size_t j = whole; j < valid; j++) to[j] = tail[j - whole];
        for (size_t j = valid; j < width; j++) to[j] = 0;

        PA_STORE(lanes, sum);
        float l = 0;
        for (int i = 0; i < PA_LANES; i++) l += lanes[i];
        ((float *)args->data[2])[(int64_t)r * args->tensor[2].strides[0]] = m;
        ((float *)args->data[3])[(int64_t)r * args->tensor[3].strides[0]] = l;
    }
}

PA_TARGET static void PA_NAME(pa_update)(const pto2_kernel_args *args) {
    const pto2_tensor *t = args->tensor;
    const size_t rows = t[3].shape[0], hd = t[3].shape[1];
    const int is_last = args->scalar[0] != 0;

    for (size_t r = 0; r < rows; r++) {
        const int64_t row = (int64_t)r;
        const float *o = (const float *)args->data[0] + row * t[0].strides[0];
        const float m_new = ((const float *)args->data[1])[row * t[1].strides[0]];
        const float l_new = ((const float *)args->data[2])[row * t[2].strides[0]];
        float *acc = (float *)args->data[3] + row * t[3].strides[0];
        float *m = (float *)args->data[4] + row * t[4].strides[0];
        float *l = (float *)args->data[5] + row * t[5].strides[0];
        float *out = (float *)args->data[6] + row * t[6].strides[0];

        const float most = *m > m_new ? *m : m_new;
        const float shift = most == -INFINITY ? 0 : most;
        const float keep = pa_exp(*m - shift), add = pa_exp(m_new - shift);
        const float total = keep * *l + add * l_new;
        *m = most;
        *l = total;
        size_t d = 0;
        for (; d + PA_LANES <= hd; d += PA_LANES) {
            PA_F x = PA_LOAD(acc + d) * keep + PA_LOAD(o + d) * add;
            PA_STORE(acc + d, x);
            if (is_last) PA_STORE(out + d, x / total);
        }
        for (; d < hd; d++) {
            acc[d] = acc[d] * keep + o[d] * add;
            if (is_last) out[d] = acc[d] / total;
        }
    }
}
