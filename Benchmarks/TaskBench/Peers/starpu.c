/* StarPU: a data handle for each output of a ring of rows; dependencies are found through
 * them. A row is written again after ROWS steps. */
#include <starpu.h>
#include <stdlib.h>

#include "taskbench.h"

enum { ROWS = 16 };

typedef struct {
    uint32_t step, point;
} task_arguments;

static taskbench_options options;
static taskbench_output outputs[ROWS][TASKBENCH_MAX_WIDTH];
static starpu_data_handle_t handles[ROWS][TASKBENCH_MAX_WIDTH];

static void kernel(void *buffers[], void *argument) {
    const task_arguments *arguments = argument;
    const taskbench_graph *graph = &options.graph;
    const uint32_t count =
        taskbench_count(taskbench_inputs(graph, arguments->step, arguments->point));
    const void *inputs[TASKBENCH_MAX_WIDTH];
    for (uint32_t k = 0; k < count; k++) inputs[k] = (void *)STARPU_VARIABLE_GET_PTR(buffers[k]);
    taskbench_run(graph, arguments->step, arguments->point, options.iterations, inputs, count,
                  (taskbench_output *)STARPU_VARIABLE_GET_PTR(buffers[count]));
}

static struct starpu_codelet codelet = {
    .cpu_funcs = {kernel}, .nbuffers = STARPU_VARIABLE_NBUFFERS, .name = "taskbench"};

static int submit(uint32_t step, uint32_t point) {
    struct starpu_task *task = starpu_task_create();
    task_arguments *arguments = malloc(sizeof *arguments);
    *arguments = (task_arguments){step, point};
    int count = 0;
    task->cl = &codelet;
    for (uint64_t bits = taskbench_inputs(&options.graph, step, point); bits; count++) {
        task->handles[count] = handles[(step - 1) % ROWS][taskbench_next(&bits)];
        task->modes[count] = STARPU_R;
    }
    task->handles[count] = handles[step % ROWS][point];
    task->modes[count] = STARPU_W;
    task->nbuffers = count + 1;
    task->cl_arg = arguments;
    task->cl_arg_size = sizeof *arguments;
    task->cl_arg_free = 1;
    return starpu_task_submit(task);
}

static int run(void) {
    const taskbench_graph *graph = &options.graph;
    for (uint32_t step = 0; step < graph->steps; step++)
        for (uint64_t points = taskbench_points(graph, step); points;)
            if (submit(step, taskbench_next(&points)) != 0) return 0;
    return starpu_task_wait_for_all() == 0;
}

static int is_final(void) {
    const taskbench_graph *graph = &options.graph;
    const uint32_t last = graph->steps - 1;
    int is_right = 1;
    for (uint64_t points = taskbench_points(graph, last); points;) {
        uint32_t point = taskbench_next(&points);
        starpu_data_acquire(handles[last % ROWS][point], STARPU_R);
        is_right &= taskbench_is_final(graph, &outputs[last % ROWS][point], point);
        starpu_data_release(handles[last % ROWS][point]);
    }
    return is_right;
}

static int most_inputs(void) {
    const taskbench_graph *graph = &options.graph;
    uint32_t most = 0;
    for (uint32_t set = 0; set < graph->sets; set++)
        for (uint32_t point = 0; point < graph->width; point++)
            if (taskbench_count(graph->inputs[set][point]) > most)
                most = taskbench_count(graph->inputs[set][point]);
    return (int)most;
}

int main(int argc, char **argv) {
    static taskbench_series series;
    int status = taskbench_parse(&options, "starpu", argc, argv);
    if (status >= 0) return status;
    if (most_inputs() >= STARPU_NMAXBUFS) {
        taskbench_complain("starpu", "more inputs than StarPU was compiled for");
        return 64;
    }
    struct starpu_conf conf;
    starpu_conf_init(&conf);
    conf.ncpus = (int)options.workers;
    conf.ncuda = conf.nopencl = 0;
    if (starpu_init(&conf) != 0) {
        taskbench_complain("starpu", "starpu_init failed");
        return 1;
    }
    for (uint32_t row = 0; row < ROWS; row++)
        for (uint32_t point = 0; point < options.graph.width; point++)
            starpu_variable_data_register(&handles[row][point], STARPU_MAIN_RAM,
                                          (uintptr_t)&outputs[row][point], sizeof outputs[0][0]);
    taskbench_begin(&series);
    while (taskbench_more(&series, &options)) {
        double begin = taskbench_seconds();
        int is_done = run();
        double seconds = taskbench_seconds() - begin;
        taskbench_add(&series, &options, seconds, is_done && is_final());
    }
    for (uint32_t row = 0; row < ROWS; row++)
        for (uint32_t point = 0; point < options.graph.width; point++)
            starpu_data_unregister(handles[row][point]);
    starpu_shutdown();
    return taskbench_finish(&series, &options, "starpu");
}
