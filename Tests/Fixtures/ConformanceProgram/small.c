/* Tensors that are freed, tensors without elements, and what kernels are told of the
 * machine. */
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
