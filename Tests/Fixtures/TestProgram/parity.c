/* The calls of the C API that make views, memory and single elements. */
#include "scenes.h"

#include <string.h>

/* Nanoseconds. */
#define SECOND 1000000000ull
#define MINUTE (60 * SECOND)

static const uint32_t sizes[PTO2_DTYPE_COUNT] = {4, 2, 2, 1, 2, 4, 8, 1, 2, 4, 8, 1, 1, 1};

/* Copies a view, element by element, to memory of the program. */
static const void *gather(pto2_tensor_handle *view, uint32_t dtype, uint32_t count) {
    pto2_tensor_handle copy;
    if (api->external_tensor(graph, dtype, 1, &count, &copy)) return NULL;
    pto2_argument arguments[] = {pto2_use(PTO2_INPUT, view), pto2_use(PTO2_OUTPUT_EXISTING, &copy)};
    if (submit(NULL, "t_gather", NULL, arguments, 2, 0, 0) || api->wait(graph)) return NULL;
    return api->data(graph, &copy);
}

/* Steps, exchanged dimensions and repeated ones against index arithmetic. */
int32_t views(void) {
    enum { A = 4, B = 6, C = 5 };
    pto2_tensor_handle x, stepped, turned, column, wide;
    uint32_t shape[] = {A, B, C};
    if (api->external_tensor(graph, PTO2_INT32, 3, shape, &x)) return 1;
    int32_t *cells = api->data(graph, &x);
    for (int32_t i = 0; i < A * B * C; i++) cells[i] = 7 * i + 1;

    uint32_t offset[] = {1, 0, 2}, extent[] = {2, 3, 2}, steps[] = {2, 2, 2};
    if (api->slice_steps(graph, &x, offset, extent, steps, &stepped)) return 1;
    const int32_t *seen = gather(&stepped, PTO2_INT32, 12);
    if (!seen) return 1;
    for (int i = 0, n = 0; i < 2; i++)
        for (int j = 0; j < 3; j++)
            for (int k = 0; k < 2; k++, n++)
                if (expect("a stepped element", seen[n],
                           cells[(1 + 2 * i) * B * C + 2 * j * C + 2 + 2 * k]))
                    return 1;

    if (api->transpose(graph, &x, 0, 2, &turned)) return 1;
    seen = gather(&turned, PTO2_INT32, A * B * C);
    if (!seen) return 1;
    for (int i = 0, n = 0; i < C; i++)
        for (int j = 0; j < B; j++)
            for (int k = 0; k < A; k++, n++)
                if (expect("a transposed element", seen[n], cells[k * B * C + j * C + i])) return 1;

    uint32_t at[] = {0, 3, 0}, thin[] = {A, 1, C}, wider[] = {2, A, 3, C};
    if (api->slice(graph, &x, at, thin, &column) ||
        api->broadcast(graph, &column, 4, wider, &wide))
        return 1;
    seen = gather(&wide, PTO2_INT32, 2 * A * 3 * C);
    if (!seen) return 1;
    for (int n = 0; n < 2 * A * 3 * C; n++)
        if (expect("a repeated element", seen[n], cells[n / (3 * C) % A * B * C + 3 * C + n % C]))
            return 1;
    return 0;
}

/* One element of each type, repeated; scope after scope. */
int32_t fills(uint64_t n) {
    for (uint64_t round = 0; round < n; round++)
        for (uint32_t dtype = 0; dtype < PTO2_DTYPE_COUNT; dtype++) {
            uint32_t shape[] = {3, 4, 2}, huge[] = {1000, 1000};
            uint64_t element = 0x0123456789ABCDEFu * (round + dtype + 1);
            pto2_tensor_handle filled, other;
            if (api->scope_begin(graph) ||
                api->fill(graph, PTO2_INT8, 2, huge, "?", &other) ||
                api->fill(graph, dtype, 3, shape, &element, &filled))
                return 1;
            const char *seen = gather(&filled, dtype, 24);
            if (!seen) return 1;
            for (int k = 0; k < 24; k++)
                if (memcmp(seen + (uint32_t)k * sizes[dtype], &element, sizes[dtype]))
                    return expect("a filled element of type", dtype, -1);
            if (api->scope_end(graph)) return 1;
        }
    return 0;
}

/* Memory without a kernel, set and got in every type. */
static int32_t allocated(void) {
    for (uint32_t dtype = 0; dtype < PTO2_DTYPE_COUNT; dtype++) {
        pto2_tensor_handle x, scalar;
        uint32_t shape[] = {3, 5}, index[] = {2, 1};
        uint64_t element = 0x0123456789ABCDEFu * (dtype + 1), found = 0, expected = 0;
        memcpy(&expected, &element, sizes[dtype]);
        if (api->scope_begin(graph) || api->allocate(graph, dtype, 2, shape, &x) ||
            api->set(graph, &x, index, SECOND, &element) ||
            api->get(graph, &x, index, SECOND, &found) ||
            expect("an element", (int64_t)found, (int64_t)expected))
            return 1;
        found = 0;
        if (api->allocate(graph, dtype, 0, NULL, &scalar) ||
            api->set(graph, &scalar, NULL, SECOND, &element) ||
            api->get(graph, &scalar, NULL, SECOND, &found) ||
            expect("a scalar", (int64_t)found, (int64_t)expected) || api->scope_end(graph))
            return 1;
    }
    return 0;
}

/* get waits for slow writers, set for slow readers as well. */
int32_t elements(uint64_t n) {
    if (allocated()) return 1;
    pto2_tensor_handle x, y;
    uint32_t shape[] = {2, 3}, index[] = {1, 2}, zero = 0;
    if (api->external_tensor(graph, PTO2_INT64, 2, shape, &x) || !external(&y, 1)) return 1;
    int64_t expected = 0, found;
    for (uint64_t i = 0; i < n; i++) {
        pto2_tensor_handle cell;
        uint32_t one[] = {1, 1};
        if (api->slice(graph, &x, index, one, &cell)) return 1;
        pto2_argument add[] = {pto2_use(PTO2_INOUT, &cell)};
        if (submit(NULL, "t_add", NULL, add, 1, 5, 100)) return 1;
        expected += 5;
        if (api->get(graph, &x, index, MINUTE, &found) || expect("an element", found, expected))
            return 1;
        pto2_argument copy[] = {pto2_use(PTO2_INPUT, &cell), pto2_use(PTO2_OUTPUT_EXISTING, &y)};
        if (submit(NULL, "t_copy", NULL, copy, 2, 200, 0)) return 1;
        expected += 100;
        if (api->set(graph, &x, index, MINUTE, &expected) ||
            api->get(graph, &y, &zero, MINUTE, &found) ||
            expect("what a reader saw", found, expected - 100))
            return 1;
    }
    return 0;
}

/* n tasks that write an element each, the slow ones piling up; the read of all
 * waits for all. */
int32_t tiles(uint64_t n) {
    pto2_tensor_handle x, sum;
    int64_t *cells = external(&x, (uint32_t)n), *total = external(&sum, 1);
    if (!cells || !total) return 1;
    for (uint32_t k = 0; k < n; k++) {
        pto2_tensor_handle cell;
        uint32_t one = 1;
        if (api->slice(graph, &x, &k, &one, &cell)) return 1;
        pto2_argument set[] = {pto2_use(PTO2_INOUT, &cell)};
        if (submit(NULL, "t_set", NULL, set, 1, k, k < 300 ? 100 : 0)) return 1;
    }
    pto2_argument add[] = {pto2_use(PTO2_INPUT, &x), pto2_use(PTO2_INOUT, &sum)};
    if (submit(NULL, "t_sum", NULL, add, 2, 0, 0) || api->wait(graph)) return 1;
    return expect("the sum", *total, (int64_t)(n * (n - 1) / 2));
}

/* One task on every second of 2 n elements, at most 32 of them: n ranges. */
int32_t comb(uint64_t n) {
    pto2_tensor_handle x, teeth[32];
    pto2_argument arguments[32];
    uint32_t one = 1;
    if (n > 32 || !external(&x, 2 * (uint32_t)n)) return 1;
    for (uint32_t k = 0; k < n; k++) {
        uint32_t begin = 2 * k;
        if (api->slice(graph, &x, &begin, &one, &teeth[k])) return 1;
        arguments[k] = (pto2_argument)pto2_use(PTO2_INOUT, &teeth[k]);
    }
    return submit(NULL, "t_empty", NULL, arguments, (uint32_t)n, 0, 0) || api->wait(graph);
}

/* A writer that takes longer than the limit. */
int32_t late(int isSet) {
    pto2_tensor_handle x;
    uint32_t zero = 0;
    int64_t element = 0;
    if (!external(&x, 1)) return 1;
    pto2_argument set[] = {pto2_use(PTO2_INOUT, &x)};
    if (submit(NULL, "t_set", NULL, set, 1, 1, 500000)) return 1;
    return isSet ? api->set(graph, &x, &zero, SECOND / 20, &element)
                 : api->get(graph, &x, &zero, SECOND / 20, &element);
}

/* One more than there may be, or nothing where something must be. */
int32_t beyond(const char *limit) {
    pto2_tensor_handle x, out;
    uint32_t shape[6] = {1, 1, 1, 1, 1, 1}, zero = 0;
    int64_t element = 0;
    if (!external(&x, 8)) return 1;
    pto2_argument arguments[33];
    for (int k = 0; k < 33; k++) arguments[k] = pto2_use(PTO2_INPUT, &x);
    uint64_t scalars[17] = {0};
    pto2_predicate predicate = {.bytes = sizeof predicate, .tensor = &x, .index = &zero};
    pto2_submission task = {.bytes = sizeof task,
                            .kernel_names = {NULL, "t_empty", NULL}, .arguments = arguments,
                            .scalars = scalars};
    if (!strcmp(limit, "tensors")) task.argument_count = 33;
    if (!strcmp(limit, "scalars")) task.scalar_count = 17;
    if (!strcmp(limit, "blocks")) task.block_count = (1u << 20) + 1;
    if (!strcmp(limit, "near")) task.near = 3;
    if (!strcmp(limit, "null-arguments")) task.argument_count = 1, task.arguments = NULL;
    if (!strcmp(limit, "access"))
        task.argument_count = 1, arguments[0].access = PTO2_OUTPUT_KEPT + 1;
    if (!strcmp(limit, "comparison"))
        predicate.comparison = 6, task.predicate = &predicate;
    if (!strcmp(limit, "output-rank")) {
        arguments[0] = pto2_output(PTO2_INT8, 6, shape, &out);
        task.argument_count = 1;
    }
    if (!strcmp(limit, "no-size")) task.bytes = 0;
    if (!strcmp(limit, "short")) task.bytes = 104;
    if (!strcmp(limit, "argument-size")) task.argument_count = 2, arguments[1].bytes += 8;
    if (!strcmp(limit, "two-kernels")) task.kernels[1].opaque = 1;
    if (!strcmp(limit, "kernel-handle")) {
        task.kernel_names[1] = NULL;
        task.kernels[1].opaque = 12345;
    }
    if (!strcmp(limit, "null-kernel")) return api->kernel(graph, NULL, &task.kernels[1]);
    if (!strcmp(limit, "no-kernel")) return api->kernel(graph, "t_none", &task.kernels[1]);
    if (!strcmp(limit, "machine-size")) return api->machine(graph, &(pto2_machine){.bytes = 4});
    if (!strcmp(limit, "newer")) {
        struct {
            pto2_submission known;
            uint64_t later;
        } record = {.known = task, .later = 1};
        record.known.bytes = sizeof record;
        return api->submit(graph, &record.known, NULL);
    }
    if (!strcmp(limit, "rank")) return api->external_tensor(graph, PTO2_INT8, 6, shape, &out);
    if (!strcmp(limit, "broadcast-rank")) return api->broadcast(graph, &x, 6, shape, &out);
    if (!strcmp(limit, "dtype")) return api->allocate(graph, PTO2_DTYPE_COUNT, 1, shape, &out);
    if (!strcmp(limit, "steps"))
        return api->slice_steps(graph, &x, &zero, shape, &zero, &out);
    if (!strcmp(limit, "null-steps")) return api->slice_steps(graph, &x, &zero, shape, NULL, &out);
    if (!strcmp(limit, "dimension")) return api->transpose(graph, &x, 0, 1, &out);
    if (!strcmp(limit, "null-element")) return api->fill(graph, PTO2_INT8, 1, shape, NULL, &out);
    if (!strcmp(limit, "null-index")) return api->get(graph, &x, NULL, SECOND, &element);
    uint32_t eight = 8;
    if (!strcmp(limit, "index")) return api->set(graph, &x, &eight, SECOND, &element);
    if (!strcmp(limit, "handle")) {
        memset(&out, 0, sizeof out);
        return api->get(graph, &out, &zero, SECOND, &element);
    }
    return api->submit(graph, &task, NULL);
}
