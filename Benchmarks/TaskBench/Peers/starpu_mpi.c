/* StarPU-MPI: the same on every rank as in starpu.c. Points belong to ranks in blocks, and
 * starpu_mpi_task_insert sends what a task on another rank reads. A rank inserts the tasks that
 * it runs, that read what it has, and that write what it will read: the others are nothing to
 * it. */
#include <mpi.h>
#include <starpu_mpi.h>
#include <stdlib.h>

#include "taskbench.h"

enum { ROWS = 16 };

typedef struct {
    uint32_t step, point;
} task_arguments;

static taskbench_options options;
static taskbench_output outputs[ROWS][TASKBENCH_MAX_WIDTH];
static starpu_data_handle_t handles[ROWS][TASKBENCH_MAX_WIDTH];
static int rank, ranks;
/* The points of this rank. */
static uint64_t own;

static int owner(uint32_t point) {
    return (int)((uint64_t)point * (uint64_t)ranks / options.graph.width);
}

static void kernel(void *buffers[], void *argument) {
    task_arguments arguments;
    starpu_codelet_unpack_args(argument, &arguments);
    const taskbench_graph *graph = &options.graph;
    const uint32_t count =
        taskbench_count(taskbench_inputs(graph, arguments.step, arguments.point));
    const void *inputs[TASKBENCH_MAX_WIDTH];
    for (uint32_t k = 0; k < count; k++) inputs[k] = (void *)STARPU_VARIABLE_GET_PTR(buffers[k]);
    taskbench_run(graph, arguments.step, arguments.point, options.iterations, inputs, count,
                  (taskbench_output *)STARPU_VARIABLE_GET_PTR(buffers[count]));
}

static struct starpu_codelet codelet = {
    .cpu_funcs = {kernel}, .nbuffers = STARPU_VARIABLE_NBUFFERS, .name = "taskbench"};

static int submit(uint32_t step, uint32_t point) {
    task_arguments arguments = {step, point};
    struct starpu_data_descr data[TASKBENCH_MAX_WIDTH + 1];
    int count = 0;
    for (uint64_t bits = taskbench_inputs(&options.graph, step, point); bits; count++) {
        data[count].handle = handles[(step - 1) % ROWS][taskbench_next(&bits)];
        data[count].mode = STARPU_R;
    }
    data[count].handle = handles[step % ROWS][point];
    data[count++].mode = STARPU_W;
    return starpu_mpi_task_insert(MPI_COMM_WORLD, &codelet, STARPU_VALUE, &arguments,
                                  sizeof arguments, STARPU_DATA_MODE_ARRAY, data, count, 0);
}

/* What the tasks of this rank in a step read. */
static uint64_t needs(uint32_t step) {
    uint64_t bits = 0;
    if (step >= options.graph.steps) return 0;
    for (uint64_t points = taskbench_points(&options.graph, step) & own; points;)
        bits |= taskbench_inputs(&options.graph, step, taskbench_next(&points));
    return bits;
}

static int run(void) {
    const taskbench_graph *graph = &options.graph;
    for (uint32_t step = 0; step < graph->steps; step++) {
        const uint64_t needed = needs(step + 1);
        for (uint64_t points = taskbench_points(graph, step); points;) {
            uint32_t point = taskbench_next(&points);
            uint64_t bit = UINT64_C(1) << point;
            if (!((own | needed) & bit) && !(taskbench_inputs(graph, step, point) & own)) continue;
            if (submit(step, point) != 0) return 0;
        }
    }
    return starpu_mpi_wait_for_all(MPI_COMM_WORLD) == 0;
}

static int is_final(void) {
    const taskbench_graph *graph = &options.graph;
    const uint32_t last = graph->steps - 1;
    int is_right = 1;
    for (uint64_t points = taskbench_points(graph, last) & own; points;) {
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

static void register_handles(void) {
    for (uint32_t row = 0; row < ROWS; row++)
        for (uint32_t point = 0; point < options.graph.width; point++) {
            starpu_data_handle_t *handle = &handles[row][point];
            const int is_own = owner(point) == rank;
            starpu_variable_data_register(handle, is_own ? STARPU_MAIN_RAM : -1,
                                          is_own ? (uintptr_t)&outputs[row][point] : 0,
                                          sizeof outputs[0][0]);
            starpu_mpi_data_register(*handle, row * TASKBENCH_MAX_WIDTH + point, owner(point));
        }
}

int main(int argc, char **argv) {
    static taskbench_series series;
    int status = taskbench_parse(&options, "starpu-mpi", argc, argv);
    if (status >= 0) return status;
    const char *refusal = NULL;
    if (options.runs == 0) refusal = "--runs N says how often: clocks differ";
    if (most_inputs() >= STARPU_NMAXBUFS) refusal = "more inputs than StarPU was compiled for";
    if (refusal) {
        taskbench_complain("starpu-mpi", refusal);
        return 64;
    }
    int level;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_SERIALIZED, &level);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    struct starpu_conf conf;
    starpu_conf_init(&conf);
    conf.ncpus = (int)options.workers;
    conf.ncuda = conf.nopencl = 0;
    if (starpu_mpi_init_conf(&argc, &argv, 0, MPI_COMM_WORLD, &conf) != 0) {
        taskbench_complain("starpu-mpi", "starpu_mpi_init_conf failed");
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
    for (uint32_t point = 0; point < options.graph.width; point++)
        if (owner(point) == rank) own |= UINT64_C(1) << point;
    register_handles();
    taskbench_begin(&series);
    /* By --runs: as often on every rank. */
    while (taskbench_more(&series, &options)) {
        starpu_mpi_barrier(MPI_COMM_WORLD);
        double begin = taskbench_seconds();
        int is_done = run();
        double seconds = taskbench_seconds() - begin;
        taskbench_add(&series, &options, seconds, is_done && is_final());
    }
    for (uint32_t row = 0; row < ROWS; row++)
        for (uint32_t point = 0; point < options.graph.width; point++)
            starpu_data_unregister(handles[row][point]);
    /* StarPU itself, too. */
    starpu_mpi_shutdown();
    MPI_Allreduce(MPI_IN_PLACE, &series.is_valid, 1, MPI_INT, MPI_LAND, MPI_COMM_WORLD);
    options.workers *= (uint32_t)ranks;
    status = !series.is_valid;
    if (rank == 0) status = taskbench_finish(&series, &options, "starpu-mpi");
    MPI_Finalize();
    return status;
}
