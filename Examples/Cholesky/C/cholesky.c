/* A blocked Cholesky decomposition in C, with its own main(): cholesky-c [TILES [SIZE]]
 * docs/cholesky.md has it beside the same in C++, Swift and Python. */
#include "pto2_session.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    uint32_t tiles, size;
    float error; /* found: the largest difference from the reference, */
    uint64_t checksum;       /* the bits of L, */
    pto2_machine machine;    /* and which of the ranks that mpirun has started this one is */
} problem;

/* Symmetric, positive definite. */
static float element(uint32_t i, uint32_t j, uint32_t n) {
    const float distance = i > j ? (float)(i - j) : (float)(j - i);
    return (i == j ? (float)n : 0) + 1 / (1 + distance);
}

/* L by the definition, element by element, in double. */
static double *reference(uint32_t n) {
    double *l = calloc((size_t)n * n, sizeof *l);
    for (uint32_t i = 0; l && i < n; i++)
        for (uint32_t j = 0; j <= i; j++) {
            double sum = element(i, j, n);
            for (uint32_t k = 0; k < j; k++) sum -= l[i * n + k] * l[j * n + k];
            l[i * n + j] = i == j ? sqrt(sum) : sum / l[j * n + j];
        }
    return l;
}

enum { POTRF, TRSM, GEMM, SYRK, KERNELS };

typedef struct {
    const pto2_program_api *api;
    pto2_graph *graph;
    pto2_tensor_handle matrix;
    pto2_kernel kernels[KERNELS];
    uint32_t size, ranks;
} work;

/* A task on up to three tiles (row, column), the last of which it changes. Under mpirun the
 * tiles are dealt to the ranks in turn along rows and columns, and it runs where that one is. */
static int32_t submit(const work *w, int kernel, uint32_t count, const uint32_t at[][2]) {
    const uint32_t shape[] = {w->size, w->size};
    pto2_tensor_handle tiles[3];
    pto2_argument arguments[3];
    for (uint32_t k = 0; k < count; k++) {
        const uint32_t offset[] = {at[k][0] * w->size, at[k][1] * w->size};
        if (w->api->slice(w->graph, &w->matrix, offset, shape, &tiles[k])) return 1;
        arguments[k] = pto2_use(k + 1 < count ? PTO2_INPUT : PTO2_INOUT, &tiles[k]);
    }
    const uint32_t *last = at[count - 1];
    pto2_submission task = {.bytes = sizeof task,
                            .arguments = arguments,
                            .argument_count = count,
                            .run_on = 1 + (2 * last[0] + last[1]) % w->ranks};
    task.kernels[kernel == GEMM || kernel == SYRK ? 0 : 1] = w->kernels[kernel];
    return w->api->submit(w->graph, &task, NULL);
}

static int32_t build(const pto2_program_api *api, pto2_graph *graph, void *context) {
    static const char *const names[] = {"cholesky_potrf", "cholesky_trsm", "cholesky_gemm",
                                        "cholesky_syrk"};
    problem *p = context;
    const uint32_t n = p->tiles * p->size, shape[] = {n, n};
    p->machine.bytes = sizeof p->machine;
    if (api->machine(graph, &p->machine)) return 1;
    work w = {.api = api, .graph = graph, .size = p->size, .ranks = p->machine.ranks};
    for (int k = 0; k < KERNELS; k++)
        if (api->kernel(graph, names[k], &w.kernels[k])) return 1;
    if (api->external_tensor(graph, PTO2_FLOAT32, 2, shape, &w.matrix)) return 1;
    float *a = api->data(graph, &w.matrix);
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t j = 0; j < n; j++) a[i * n + j] = element(i, j, n);

    for (uint32_t k = 0; k < p->tiles; k++) {
        if (submit(&w, POTRF, 1, (const uint32_t[][2]){{k, k}})) return 1;
        for (uint32_t i = k + 1; i < p->tiles; i++)
            if (submit(&w, TRSM, 2, (const uint32_t[][2]){{k, k}, {i, k}})) return 1;
        for (uint32_t i = k + 1; i < p->tiles; i++) {
            for (uint32_t j = k + 1; j < i; j++)
                if (submit(&w, GEMM, 3, (const uint32_t[][2]){{i, k}, {j, k}, {i, j}})) return 1;
            if (submit(&w, SYRK, 2, (const uint32_t[][2]){{i, k}, {i, i}})) return 1;
        }
    }
    double *l = reference(n);
    if (!l || api->wait(graph)) return 1;
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t j = 0; j <= i; j++) {
            const float error = fabsf(a[i * n + j] - (float)l[i * n + j]);
            /* True for what is not a number, too. */
            if (!(error <= 1e-4f)) return api->fail(graph, "L differs from the reference");
            p->error = fmaxf(p->error, error);
            uint32_t bits;
            memcpy(&bits, &a[i * n + j], sizeof bits);
            p->checksum = 31 * p->checksum + bits;
        }
    free(l);
    return 0;
}

int main(int argc, char **argv) {
    problem p = {.tiles = argc > 1 ? (uint32_t)atoi(argv[1]) : 16,
                 .size = argc > 2 ? (uint32_t)atoi(argv[2]) : 64};
    if (p.tiles < 1 || p.tiles > 1000 || p.size < 1 || p.size > 1000) {
        fprintf(stderr, "usage: cholesky-c [TILES [SIZE]], each 1 to 1000\n");
        return 64;
    }
    const char *images[] = {"CholeskyKernels"};
    const pto2_session_options options = {
        .bytes = sizeof options, .images = images, .image_count = 1, .clusters = 2};
    pto2_error_info error = {.bytes = sizeof error};
    pto2_report report = {.bytes = sizeof report};
    pto2_session *session;
    if (!pto2_session_open(&options, &session, &error)) {
        pto2_session_run(session, build, &p, &report);
        pto2_session_error(session, &error);
        pto2_session_close(session);
    }
    if (error.code) {
        fprintf(stderr, "cholesky-c: %s\n", error.message);
        return 1;
    }
    if (p.machine.rank == 0) /* of several ranks one says it */
        printf("%u x %u tiles of %u: %llu tasks, verified, largest error %.1e, checksum %llu\n",
               p.tiles, p.tiles, p.size, (unsigned long long)report.tasks, p.error,
               (unsigned long long)p.checksum);
    return 0;
}
