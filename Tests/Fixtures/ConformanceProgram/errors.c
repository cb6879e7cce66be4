/* Errors that a program makes itself, views that it can do without, and what it logs. */
#include "conformance_program.h"

#include <string.h>

/* Ends the run with code n. */
int32_t own_code(uint64_t n) {
    const pto2_error code = api->fail_with(graph, (uint32_t)n, "out of \"luck\"");
    pto2_error_info info = {.bytes = sizeof info};
    if (api->error_info(graph, &info) || info.code != code || api->wait(graph) != code) return 1;
    return (int32_t)code;
}

/* A view beyond x, of a handle that says so. */
static pto2_error beyond(pto2_tensor_handle *x, pto2_tensor_handle *view) {
    const uint32_t at = 3, length = 2;
    return api->slice(graph, x, &at, &length, view);
}

/* n views that cannot be made: each is told, and the run goes on. */
int32_t refused_view(uint64_t n) {
    pto2_tensor_handle x, view;
    pto2_error_info info = {.bytes = sizeof info};
    int64_t *values = external(&x, 4);
    if (!values) return 1;
    for (uint64_t i = 0; i < n; i++) {
        const uint32_t shape = 5, zero = 0, one = 1;
        view = x;
        if (beyond(&x, &view) != PTO2_ERROR_INVALID_ARGS)
            return api->fail(graph, "it was not refused");
        if (api->error_info(graph, &info) || info.code != PTO2_ERROR_INVALID_ARGS ||
            !strstr(info.message, "reaches beyond") ||
            strcmp(info.message, api->error_message(graph)))
            return api->fail(graph, "it was not told");
        /* Nor is a view of what is none; all kinds of views are alike. */
        if (api->reshape(graph, &view, 1, &shape, &view) != PTO2_ERROR_INVALID_ARGS ||
            !strstr(api->error_message(graph), "a view that could not be made") ||
            api->reshape(graph, &x, 1, &shape, &view) != PTO2_ERROR_INVALID_ARGS ||
            api->broadcast(graph, &x, 1, &shape, &view) != PTO2_ERROR_INVALID_ARGS ||
            api->transpose(graph, &x, 0, 1, &view) != PTO2_ERROR_INVALID_ARGS ||
            api->slice_steps(graph, &x, &zero, &shape, &one, &view) != PTO2_ERROR_INVALID_ARGS)
            return api->fail(graph, "it was not refused");
        pto2_argument step[] = {pto2_use(PTO2_INOUT, &x)};
        if (submit(NULL, "c_step", NULL, step, 1, 0, NULL)) return 1;
        if (api->error_message(graph) || api->error_info(graph, &info) || info.code)
            return api->fail(graph, "an error of long ago");
    }
    if (api->wait(graph)) return 1;
    int64_t expected = 0;
    for (uint64_t i = 0; i < n; i++) expected = 3 * expected + 1;
    return expect("an element", values[1], expected);
}

/* A view that is none is given to a task. */
int32_t refused_and_used(uint64_t n) {
    pto2_tensor_handle x, view;
    (void)n;
    if (!external(&x, 4)) return 1;
    view = x;
    beyond(&x, &view);
    pto2_argument step[] = {pto2_use(PTO2_INOUT, &view)};
    submit(NULL, "c_step", NULL, step, 1, 0, NULL);
    return 0; /* it looks at nothing: the run has failed all the same */
}

/* The program returns because of a view. */
int32_t refused_and_left(uint64_t n) {
    pto2_tensor_handle x, view;
    (void)n;
    return !external(&x, 4) || beyond(&x, &view);
}

/* A line of each level. */
int32_t logs(uint64_t n) {
    api->log(graph, PTO2_LOG_ERROR, "all is lost");
    api->log(graph, PTO2_LOG_WARNING, "all may be lost");
    pto2_logf(api, graph, PTO2_LOG_INFO, "%d of %s", (int)n, "all");
    api->log(graph, PTO2_LOG_DEBUG, "x is 1");
    api->log(graph, PTO2_LOG_ERROR, NULL);
    return 0;
}
