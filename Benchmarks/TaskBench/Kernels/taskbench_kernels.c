#include "taskbench_kernels.h"

#include "taskbench.h"

/* The graph of the call before: made anew when another one comes. */
static const taskbench_graph *graph_of(const uint64_t *scalars) {
    static _Thread_local taskbench_graph graph;
    static _Thread_local uint64_t known;
    if (scalars[0] != known) taskbench_unpack(&graph, scalars[0]);
    known = scalars[0];
    graph.run = (uint32_t)(scalars[2] >> 40);
    return &graph;
}

static uint64_t iterations_of(const uint64_t *scalars) {
    return scalars[2] & TASKBENCH_MAX_ITERATIONS;
}

void taskbench_task(const pto2_kernel_args *args) {
    const uint32_t inputs = args->tensor_count - 1;
    taskbench_run(graph_of(args->scalar), (uint32_t)(args->scalar[1] >> 32),
                  (uint32_t)args->scalar[1], iterations_of(args->scalar),
                  (const void *const *)args->data, inputs, args->data[inputs]);
}

void taskbench_explicit_task(const pto2_kernel_args *args) {
    const taskbench_graph *graph = graph_of(args->scalar);
    const uint32_t step = (uint32_t)(args->scalar[1] >> 32), point = (uint32_t)args->scalar[1];
    taskbench_output *outputs = args->data[0];
    taskbench_output *row = outputs + (size_t)step * graph->width;
    const void *inputs[TASKBENCH_MAX_WIDTH];
    uint32_t count = 0;
    for (uint64_t producers = taskbench_inputs(graph, step, point); producers;)
        inputs[count++] = row - graph->width + taskbench_next(&producers);
    taskbench_run(graph, step, point, iterations_of(args->scalar), inputs, count, row + point);
}

PTO2_KERNELS({"taskbench", taskbench_task, PTO2_AIV}, {"taskbench_aic", taskbench_task, PTO2_AIC},
             {"taskbench_explicit", taskbench_explicit_task, PTO2_AIV})
