/* Predicates on every data type, with every comparison, both outcomes. */
#include "scenes.h"

#include <math.h>
#include <string.h>

static int holds_real(uint32_t comparison, double a, double b) {
    switch (comparison) {
    case PTO2_EQ: return a == b;
    case PTO2_NE: return a != b;
    case PTO2_GT: return a > b;
    case PTO2_LT: return a < b;
    case PTO2_GE: return a >= b;
    default: return a <= b;
    }
}

static int holds_integer(uint32_t comparison, __int128 a, __int128 b) {
    switch (comparison) {
    case PTO2_EQ: return a == b;
    case PTO2_NE: return a != b;
    case PTO2_GT: return a > b;
    case PTO2_LT: return a < b;
    case PTO2_GE: return a >= b;
    default: return a <= b;
    }
}

/* An element by its bits, and what it is. */
typedef struct {
    uint64_t bits;
    double real;
} real_element;

static uint64_t float_bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* Tasks of one type, and what each must have done. */
enum { MOST = 4096 };
static int64_t *runs;
static pto2_tensor_handle run_cells;
static char expected[MOST];
static uint32_t tasks;

static int32_t submit_case(pto2_tensor_handle *tensor, uint32_t at, uint32_t comparison,
                           int64_t integer, double real, int holds) {
    pto2_tensor_handle cell;
    uint32_t one = 1;
    if (tasks == MOST) return api->fail(graph, "too many cases");
    if (api->slice(graph, &run_cells, &tasks, &one, &cell)) return 1;
    pto2_argument arguments[] = {pto2_use(PTO2_INOUT, &cell)};
    uint64_t scalars[2] = {1, 0};
    pto2_predicate predicate = {.bytes = sizeof predicate, .comparison = comparison,
                                .tensor = tensor, .index = &at, .integer = integer,
                                .real = real};
    pto2_submission submission = {
        .bytes = sizeof submission, .kernel_names = {NULL, "t_add", NULL},
        .arguments = arguments, .argument_count = 1, .scalars = scalars, .scalar_count = 2,
        .predicate = &predicate};
    expected[tasks++] = (char)holds;
    return api->submit(graph, &submission, NULL);
}

static int32_t reals(uint32_t dtype, const real_element *list, uint32_t count, uint32_t size) {
    pto2_tensor_handle x;
    if (api->external_tensor(graph, dtype, 1, &count, &x)) return 1;
    char *p = api->data(graph, &x);
    for (uint32_t i = 0; i < count; i++) memcpy(p + i * size, &list[i].bits, size);
    const double values[] = {-1.5, 0, 1, 0.1, INFINITY, NAN};
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t k = 0; k < sizeof values / sizeof *values; k++)
            for (uint32_t c = PTO2_EQ; c <= PTO2_LE; c++)
                if (submit_case(&x, i, c, 0, values[k], holds_real(c, list[i].real, values[k])))
                    return 1;
    return 0;
}

static int32_t integers(uint32_t dtype, uint32_t size, int isSigned) {
    enum { COUNT = 7 };
    const uint32_t count = COUNT;
    pto2_tensor_handle x;
    if (api->external_tensor(graph, dtype, 1, &count, &x)) return 1;
    char *p = api->data(graph, &x);
    /* Least and most of the type, signed or not, and around zero. */
    const uint64_t top = 1ull << (8 * size - 1);
    const uint64_t bits[COUNT] = {0, 1, 2, ~0ull, ~1ull, top, top - 1};
    for (uint32_t i = 0; i < count; i++) {
        memcpy(p + i * size, &bits[i], size);
        const uint64_t low = bits[i] & (~0ull >> (64 - 8 * size));
        const __int128 element =
            isSigned && (low & top) ? (__int128)low - ((__int128)top << 1) : (__int128)low;
        const int64_t values[] = {0, 1, -1, -2, 127, INT64_MIN, INT64_MAX, (int64_t)bits[i]};
        for (uint32_t k = 0; k < sizeof values / sizeof *values; k++)
            for (uint32_t c = PTO2_EQ; c <= PTO2_LE; c++)
                if (submit_case(&x, i, c, values[k], 0, holds_integer(c, element, values[k])))
                    return 1;
    }
    return 0;
}

int32_t predicate_types(void) {
    const uint32_t most = MOST;
    runs = external(&run_cells, most);
    if (!runs) return 1;
    const real_element half[] = {{0x0000, 0}, {0x8000, -0.0}, {0x3C00, 1}, {0xBE00, -1.5},
                                 {0x2E66, 0.0999755859375}, {0x0001, 0x1p-24}, {0x7BFF, 65504},
                                 {0x7C00, INFINITY}, {0xFC00, -INFINITY}, {0x7E00, NAN}};
    const real_element bfloat[] = {{0x0000, 0}, {0x8000, -0.0}, {0x3F80, 1}, {0xBFC0, -1.5},
                                   {0x3DCD, 0.10009765625}, {0x0001, 0x1p-133},
                                   {0x7F80, INFINITY}, {0xFF80, -INFINITY}, {0x7FC0, NAN}};
    const real_element single[] = {{float_bits(0), 0}, {float_bits(-0.0f), -0.0},
                                   {float_bits(1), 1}, {float_bits(-1.5f), -1.5},
                                   {float_bits(0.1f), (double)0.1f}, {1, 0x1p-149},
                                   {float_bits(INFINITY), INFINITY},
                                   {float_bits(-INFINITY), -INFINITY}, {0x7FC00000, NAN}};
    if (reals(PTO2_FLOAT16, half, sizeof half / sizeof *half, 2) ||
        reals(PTO2_BFLOAT16, bfloat, sizeof bfloat / sizeof *bfloat, 2) ||
        reals(PTO2_FLOAT32, single, sizeof single / sizeof *single, 4) ||
        integers(PTO2_INT8, 1, 1) || integers(PTO2_INT16, 2, 1) || integers(PTO2_INT32, 4, 1) ||
        integers(PTO2_INT64, 8, 1) || integers(PTO2_UINT8, 1, 0) || integers(PTO2_UINT16, 2, 0) ||
        integers(PTO2_UINT32, 4, 0) || integers(PTO2_UINT64, 8, 0) || api->wait(graph))
        return 1;
    for (uint32_t k = 0; k < tasks; k++)
        if (expect("a predicated run", runs[k], expected[k])) return 1;
    return 0;
}
