#include "taskbench.h"

static uint64_t bit(int64_t point, uint32_t width) {
    return point >= 0 && point < (int64_t)width ? UINT64_C(1) << point : 0;
}

/* Whether random_nearest has this neighbour: one in four. */
static int is_connected(const taskbench_graph *graph, uint32_t set, uint32_t point,
                        int64_t producer) {
    uint64_t key = (uint64_t)graph->radix << 24 | (uint64_t)set << 16 | point << 8;
    return taskbench_hash(taskbench_hash(key) ^ (uint64_t)producer) % 4 == 0;
}

static uint64_t inputs(const taskbench_graph *graph, uint32_t set, int64_t i) {
    const int64_t width = graph->width, radix = graph->radix;
    uint64_t points = 0;
    switch (graph->pattern) {
    case TASKBENCH_NO_COMM: return bit(i, graph->width);
    case TASKBENCH_STENCIL_1D_PERIODIC:
        points = bit((i + width - 1) % width, graph->width) | bit((i + 1) % width, graph->width);
        return points | bit(i, graph->width);
    case TASKBENCH_STENCIL_1D: points = bit(i + 1, graph->width); /* fall through */
    case TASKBENCH_DOM: return points | bit(i - 1, graph->width) | bit(i, graph->width);
    case TASKBENCH_TREE: return bit(i / 2, graph->width);
    case TASKBENCH_FFT: {
        int64_t distance = INT64_C(1) << set;
        points = bit(i - distance, graph->width) | bit(i + distance, graph->width);
        return points | bit(i, graph->width);
    }
    case TASKBENCH_NEAREST:
    case TASKBENCH_RANDOM_NEAREST:
        for (int64_t j = i - radix / 2; j <= i + (radix - 1) / 2; j++)
            if (graph->pattern == TASKBENCH_NEAREST || j == i ||
                is_connected(graph, set, (uint32_t)i, j))
                points |= bit(j, graph->width);
        return points;
    case TASKBENCH_SPREAD:
        for (int64_t k = 0; k < radix; k++)
            points |= bit((i + k * width / radix + (k > 0 ? set : 0)) % width, graph->width);
        return points;
    default: return 0;
    }
}

void taskbench_prepare(taskbench_graph *graph) {
    graph->run = 1;
    graph->sets = 1;
    if (graph->pattern == TASKBENCH_SPREAD || graph->pattern == TASKBENCH_RANDOM_NEAREST)
        graph->sets = TASKBENCH_PERIOD;
    if (graph->pattern == TASKBENCH_FFT)
        while (1u << graph->sets < graph->width) graph->sets++;
    for (uint32_t set = 0; set < graph->sets; set++)
        for (uint32_t point = 0; point < graph->width; point++)
            graph->inputs[set][point] = inputs(graph, set, point);
}

uint64_t taskbench_packed(const taskbench_graph *graph) {
    return (uint64_t)graph->steps | (uint64_t)graph->width << 24 | (uint64_t)graph->radix << 32 |
           (uint64_t)graph->imbalance << 40 | (uint64_t)graph->pattern << 52 |
           (uint64_t)graph->is_broken << 60;
}

void taskbench_unpack(taskbench_graph *graph, uint64_t packed) {
    graph->steps = packed & 0xFFFFFF;
    graph->width = packed >> 24 & 0xFF;
    graph->radix = packed >> 32 & 0xFF;
    graph->imbalance = packed >> 40 & 0xFFF;
    graph->pattern = (taskbench_pattern)(packed >> 52 & 0xFF);
    graph->is_broken = packed >> 60 & 1;
    taskbench_prepare(graph);
}

const char *taskbench_pattern_name(taskbench_pattern pattern) {
    static const char *const names[TASKBENCH_PATTERNS] = {
        "trivial", "no_comm", "stencil_1d", "stencil_1d_periodic", "dom",
        "tree",    "fft",     "nearest",    "spread",              "random_nearest"};
    return pattern < TASKBENCH_PATTERNS ? names[pattern] : "?";
}

uint64_t taskbench_tasks(const taskbench_graph *graph) {
    uint64_t tasks = 0;
    for (uint32_t step = 0; step < graph->steps; step++)
        tasks += taskbench_count(taskbench_points(graph, step));
    return tasks;
}

uint64_t taskbench_dependencies(const taskbench_graph *graph) {
    uint64_t count = 0;
    for (uint32_t step = 0; step < graph->steps; step++)
        for (uint64_t points = taskbench_points(graph, step); points;)
            count += taskbench_count(taskbench_inputs(graph, step, taskbench_next(&points)));
    return count;
}

uint64_t taskbench_total_iterations(const taskbench_graph *graph, uint64_t mean) {
    uint64_t total = 0;
    for (uint32_t step = 0; step < graph->steps; step++)
        for (uint64_t points = taskbench_points(graph, step); points;)
            total += taskbench_iterations(graph, step, taskbench_next(&points), mean);
    return total;
}
