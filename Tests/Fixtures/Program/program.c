#include "program.h"

#include <stdio.h>

const pto2_program_api *api;
pto2_graph *graph;

int64_t *external(pto2_tensor_handle *tensor, uint32_t count) {
    if (api->external_tensor(graph, PTO2_INT64, 1, &count, tensor)) return NULL;
    return api->data(graph, tensor);
}

int32_t expect(const char *what, int64_t found, int64_t expected) {
    if (found == expected) return 0;
    char message[128];
    snprintf(message, sizeof message, "%s is %lld, expected %lld", what, (long long)found,
             (long long)expected);
    return api->fail(graph, message);
}
