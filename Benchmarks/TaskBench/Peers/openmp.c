/* OpenMP tasks: one thread makes them, depend clauses say who waits for whom. */
#include <omp.h>
#include <stdlib.h>

#include "taskbench.h"

static void build(const taskbench_options *options, taskbench_output *outputs) {
    const taskbench_graph *graph = &options->graph;
    for (uint32_t step = 0; step < graph->steps; step++) {
        taskbench_output *row = outputs + (size_t)step * graph->width;
        for (uint64_t points = taskbench_points(graph, step); points;) {
            uint32_t point = taskbench_next(&points), count = 0;
            taskbench_output *producers[TASKBENCH_MAX_WIDTH];
            for (uint64_t bits = taskbench_inputs(graph, step, point); bits;)
                producers[count++] = row - graph->width + taskbench_next(&bits);
#pragma omp task firstprivate(step, point, row) \
    depend(iterator(uint32_t k = 0 : count), in : *producers[k]) depend(out : row[point])
            {
                const void *inputs[TASKBENCH_MAX_WIDTH];
                uint32_t found = 0;
                for (uint64_t bits = taskbench_inputs(graph, step, point); bits;)
                    inputs[found++] = row - graph->width + taskbench_next(&bits);
                taskbench_run(graph, step, point, options->iterations, inputs, found, &row[point]);
            }
        }
    }
}

int main(int argc, char **argv) {
    static taskbench_series series;
    taskbench_options options;
    int status = taskbench_parse(&options, "openmp", argc, argv);
    if (status >= 0) return status;
    const taskbench_graph *graph = &options.graph;
    taskbench_output *outputs = calloc((size_t)graph->steps * graph->width, sizeof *outputs);
    taskbench_begin(&series);
    while (taskbench_more(&series, &options)) {
        double begin = taskbench_seconds();
#pragma omp parallel num_threads(options.workers)
#pragma omp single
        build(&options, outputs);
        double seconds = taskbench_seconds() - begin;
        int is_right = 1;
        const uint32_t last = graph->steps - 1;
        for (uint64_t points = taskbench_points(graph, last); points;) {
            uint32_t point = taskbench_next(&points);
            is_right &= taskbench_is_final(graph, &outputs[(size_t)last * graph->width + point],
                                           point);
        }
        taskbench_add(&series, &options, seconds, is_right);
    }
    free(outputs);
    return taskbench_finish(&series, &options, "openmp");
}
