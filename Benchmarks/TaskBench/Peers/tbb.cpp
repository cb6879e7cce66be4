// oneTBB: a flow graph of continue_nodes, built in every run.
#include <oneapi/tbb/flow_graph.h>
#include <oneapi/tbb/global_control.h>

#include <deque>
#include <vector>

#include "taskbench.h"

namespace flow = oneapi::tbb::flow;
using Node = flow::continue_node<flow::continue_msg>;

static void run(const taskbench_options &options, taskbench_output *outputs) {
    const taskbench_graph *shape = &options.graph;
    const uint32_t width = shape->width;
    flow::graph graph;
    std::deque<Node> nodes;
    std::vector<Node *> before(width), current(width), sources;
    for (uint32_t step = 0; step < shape->steps; step++) {
        taskbench_output *row = outputs + size_t(step) * width;
        for (uint64_t points = taskbench_points(shape, step); points;) {
            uint32_t point = taskbench_next(&points);
            nodes.emplace_back(graph, [=, &options](const flow::continue_msg &) {
                const void *inputs[TASKBENCH_MAX_WIDTH];
                uint32_t count = 0;
                for (uint64_t bits = taskbench_inputs(shape, step, point); bits;)
                    inputs[count++] = row - width + taskbench_next(&bits);
                taskbench_run(shape, step, point, options.iterations, inputs, count, &row[point]);
            });
            current[point] = &nodes.back();
            uint64_t producers = taskbench_inputs(shape, step, point);
            if (producers == 0) sources.push_back(current[point]);
            while (producers) flow::make_edge(*before[taskbench_next(&producers)], *current[point]);
        }
        std::swap(before, current);
    }
    for (Node *source : sources) source->try_put(flow::continue_msg());
    graph.wait_for_all();
}

int main(int argc, char **argv) {
    static taskbench_series series;
    taskbench_options options;
    int status = taskbench_parse(&options, "tbb", argc, argv);
    if (status >= 0) return status;
    oneapi::tbb::global_control limit(oneapi::tbb::global_control::max_allowed_parallelism,
                                      options.workers);
    const taskbench_graph *graph = &options.graph;
    std::vector<taskbench_output> outputs(size_t(graph->steps) * graph->width);
    taskbench_begin(&series);
    while (taskbench_more(&series, &options)) {
        double begin = taskbench_seconds();
        run(options, outputs.data());
        double seconds = taskbench_seconds() - begin;
        int is_right = 1;
        const uint32_t last = graph->steps - 1;
        for (uint64_t points = taskbench_points(graph, last); points;) {
            uint32_t point = taskbench_next(&points);
            is_right &=
                taskbench_is_final(graph, &outputs[size_t(last) * graph->width + point], point);
        }
        taskbench_add(&series, &options, seconds, is_right);
    }
    return taskbench_finish(&series, &options, "tbb");
}
