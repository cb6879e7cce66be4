/* Tensors that are freed, tensors without elements, the same bytes as another type, the
 * task that made a tensor, and what kernels are told of the machine. */
#include "conformance_program.h"

/* n tensors of 1 MiB, one after the other, each with a task that fills it. */
int32_t freed(uint64_t n) {
    const uint32_t count = 1 << 17;
    pto2_tensor_handle x, sum, place;
    int64_t *same = external(&sum, (uint32_t)n);
    if (!same) return 1;
    for (uint32_t i = 0; i < n; i++) {
        int64_t *data = external(&x, count);
        if (!data || element(&sum, i, &place)) return 1;
        if (expect("memory that was used before", data[0] | data[count - 1], 0)) return 1;
        pto2_argument fill[] = {pto2_use(PTO2_OUTPUT_EXISTING, &x)};
        pto2_argument check[] = {pto2_use(PTO2_INPUT, &x), pto2_use(PTO2_OUTPUT_EXISTING, &place)};
        if (submit(NULL, "c_fill", NULL, fill, 1, i, NULL) ||
            submit(NULL, "c_check", NULL, check, 2, i, NULL) || api->free_tensor(graph, &x))
            return 1;
    }
    if (api->wait(graph)) return 1;
    for (uint32_t i = 0; i < n; i++)
        if (expect("a tensor that was whole", same[i], 1)) return 1;
    return 0;
}

/* n steps, each in a scope: what goes to the next one is a kept output, whose memory is
 * given back; what does not is an output of the scope. A step that ran twice, or read memory
 * of another one, would show in the number. */
int32_t kept(uint64_t n) {
    const uint32_t one = 1;
    pto2_tensor_handle zero, state, next, half, last;
    int64_t *value = external(&last, 1), expected = 1;
    if (!value || !external(&zero, 1)) return 1;
    *value = 1;
    state = last;
    for (uint64_t i = 0; i < n; i++) {
        pto2_argument first[] = {pto2_use(PTO2_INPUT, &state), pto2_use(PTO2_INPUT, &zero),
                                 output(1, &half)};
        pto2_argument second[] = {pto2_use(PTO2_INPUT, &half), pto2_use(PTO2_INPUT, &state),
                                  pto2_kept_output(PTO2_INT64, 1, &one, &next)};
        if (api->scope_begin(graph) || submit(NULL, "c_mix", NULL, first, 3, i, NULL) ||
            submit(NULL, "c_mix", NULL, second, 3, 7, NULL) || api->scope_end(graph) ||
            (i > 0 && api->free_tensor(graph, &state)))
            return 1;
        state = next;
        expected = (int64_t)(3 * (3 * (uint64_t)expected + i) + (uint64_t)expected + 7);
    }
    pto2_argument copy[] = {pto2_use(PTO2_INPUT, &state), pto2_use(PTO2_OUTPUT_EXISTING, &last)};
    if (submit(NULL, "t_copy", NULL, copy, 2, 0, NULL) || api->wait(graph)) return 1;
    return expect("the last state", *value, expected);
}

/* A task on an empty slice would crash its worker; what comes after it is told of. */
int32_t empty(uint64_t n) {
    pto2_tensor_handle x, none;
    const uint32_t end = 4, nothing = 0;
    int64_t *values = external(&x, 4);
    if (!values || api->slice(graph, &x, &end, &nothing, &none)) return 1;
    for (uint64_t i = 0; i < n; i++) {
        pto2_task crash;
        pto2_argument arguments[] = {pto2_use(PTO2_INPUT, &x), pto2_use(PTO2_INOUT, &none)};
        pto2_argument step[] = {pto2_use(PTO2_INOUT, &x)};
        if (submit(NULL, "c_crash", NULL, arguments, 2, 0, &crash) ||
            submit_after("c_step", step, 1, 1, &crash, 1, NULL))
            return 1;
    }
    if (api->wait(graph)) return 1;
    for (int64_t k = 0; k < 4; k++) {
        int64_t expected = 0;
        for (uint64_t i = 0; i < n; i++) expected = 3 * expected + 1 + k;
        if (expect("an element", values[k], expected)) return 1;
    }
    return 0;
}

/* Program and kernels know the same n clusters. */
int32_t machine(uint64_t n) {
    pto2_machine said = {.bytes = sizeof said};
    pto2_tensor_handle x;
    int64_t *counts = external(&x, 2);
    pto2_argument arguments[] = {pto2_use(PTO2_INOUT, &x)};
    if (!counts || api->machine(graph, &said) ||
        submit("c_machine", NULL, NULL, arguments, 1, 0, NULL) || api->wait(graph))
        return 1;
    return expect("clusters", said.clusters, (int64_t)n) ||
           expect("clusters, as a kernel sees them", counts[0], (int64_t)n) ||
           expect("cores, as a kernel sees them", counts[1], 3 * (int64_t)n);
}

/* Bytes and halves of n int64 elements, and these again: what a task of either type
 * writes, one of the other waits for. */
int32_t bit_cast(uint64_t n) {
    const uint32_t shape[2] = {(uint32_t)n, 4};
    pto2_tensor_handle x, bytes, words, back, row;
    if (api->external_tensor(graph, PTO2_INT64, 2, shape, &x) ||
        api->bit_cast(graph, &x, PTO2_UINT8, &bytes) ||
        api->bit_cast(graph, &bytes, PTO2_UINT32, &words) ||
        api->bit_cast(graph, &words, PTO2_INT64, &back))
        return 1;
    if (api->data(graph, &bytes) != api->data(graph, &x)) return api->fail(graph, "it moved");
    for (uint32_t i = 0; i < n; i++) {
        /* Writes row i of `back`, and adds to it through `x`. */
        const uint32_t at[2] = {i, 0}, one_row[2] = {1, 4};
        for (int k = 0; k < 2; k++) {
            if (api->slice(graph, k ? &x : &back, at, one_row, &row)) return 1;
            pto2_argument arguments[] = {pto2_use(k ? PTO2_INOUT : PTO2_OUTPUT_EXISTING, &row)};
            if (submit(NULL, k ? "c_step" : "c_fill", NULL, arguments, 1, i, NULL)) return 1;
        }
        /* Its third element, byte by byte and as two halves. */
        const int64_t expected = 3 * ((int64_t)i + 2) + i + 2;
        int64_t found = 0;
        for (uint32_t k = 0; k < 8; k++) {
            const uint32_t byte_at[2] = {i, 16 + k};
            if (api->get(graph, &bytes, byte_at, 10000000000, (uint8_t *)&found + k)) return 1;
        }
        if (expect("an element's bytes", found, expected)) return 1;
        uint32_t low;
        const uint32_t word_at[2] = {i, 4};
        if (api->get(graph, &words, word_at, PTO2_FOREVER, &low) ||
            expect("its lower half", low, expected & 0xFFFFFFFF))
            return 1;
    }
    /* Seven bytes are no elements; a transposed one has gaps; one byte on is misplaced. */
    const uint32_t zero[2] = {0, 0}, seven[2] = {1, 7}, on[2] = {0, 1}, eight[2] = {1, 8};
    return api->slice(graph, &bytes, zero, seven, &row) ||
           expect("7 bytes", api->bit_cast(graph, &row, PTO2_INT64, &row), 5) ||
           api->slice(graph, &bytes, on, eight, &row) ||
           expect("a misplaced view", api->bit_cast(graph, &row, PTO2_INT64, &row), 5) ||
           api->transpose(graph, &x, 0, 1, &row) ||
           expect("a view with gaps", api->bit_cast(graph, &row, PTO2_UINT8, &row), 5) ||
           expect("a type that is none", api->bit_cast(graph, &x, PTO2_DTYPE_COUNT, &row), 5);
}

/* A slow task puts a tensor out, and another reads it with no dependency but on its
 * creator: it never sees memory that nobody has written. Recorded, and replayed n times. */
int32_t creator(uint64_t n) {
    pto2_tensor_handle sum, place, zero, x;
    const int64_t *found = external(&sum, (uint32_t)n + 1);
    pto2_template recorded = {0};
    if (!found || !external(&zero, 1)) return 1;
    for (uint32_t i = 0; i <= n; i++) {
        if (element(&sum, i, &place) || api->scope_begin(graph)) return 1;
        const pto2_holes holes = {.bytes = sizeof holes, .tensor_count = 1, .tensors = &place};
        if (i > 0) {
            if (api->replay(graph, recorded, &holes, NULL, NULL)) return 1;
        } else {
            /* 41, after 3 ms in which it is -1. */
            pto2_argument make[] = {pto2_use(PTO2_INPUT, &zero), pto2_use(PTO2_INPUT, &zero),
                                    output(1, &x)};
            pto2_argument read[] = {pto2_use(PTO2_NO_DEP_CREATED, &x),
                                    pto2_use(PTO2_OUTPUT_EXISTING, &place)};
            if (api->record_begin(graph, &holes) ||
                submit(NULL, "c_mix", NULL, make, 3, 3000ull << 32 | 41, NULL) ||
                submit(NULL, "t_copy", NULL, read, 2, 0, NULL) ||
                api->record_end(graph, NULL, 0, &recorded))
                return 1;
        }
        if (api->scope_end(graph)) return 1;
    }
    if (api->wait(graph)) return 1;
    for (uint32_t i = 0; i <= n; i++)
        if (expect("what its creator wrote", found[i], 41)) return 1;
    return 0;
}
