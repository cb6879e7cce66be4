#include "paged_attention_kernels.h"

PTO2_KERNELS({"pa_init", pa_init, PTO2_AIV},
             {"pa_qk", pa_qk, PTO2_AIC},
             {"pa_softmax", pa_softmax, PTO2_AIV},
             {"pa_pv", pa_pv, PTO2_AIC},
             {"pa_update", pa_update, PTO2_AIV})
