/* The two matrix kernels, for each vector width. */
#include "support.h"

#if defined(__x86_64__)
#define PA_LANES 16
#include "matmul_body.h"
#undef PA_LANES
#define PA_LANES 8
#include "matmul_body.h"
#undef PA_LANES
#endif
#define PA_LANES 4
#include "matmul_body.h"

/* scores[r, j] = sum over d of query[r, d] * key[j, d], for j < valid.
 * 0 query [rows, hd] bf16, 1 key cache, 2 block table slice [G] int32,
 * 3 scores [rows, G * block_size] f32; scalars: 0 kv_head, 1 valid. */
void pa_qk(const pto2_kernel_args *args) { PA_DISPATCH(pa_qk, args); }

/* o[r, d] = sum over j < valid of p[r, j] * value[j, d].
 * 0 p [rows, G * block_size] f32, 1 value cache, 2 block table slice [G] int32,
 * 3 o [rows, hd] f32; scalars: 0 kv_head, 1 valid. */
void pa_pv(const pto2_kernel_args *args) { PA_DISPATCH(pa_pv, args); }
