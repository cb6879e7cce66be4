/* MPI without a runtime: points belong to ranks in blocks; every step sends what other
 * ranks need with MPI_Isend, and waits for what it needs with MPI_Irecv. */
#include <mpi.h>
#include <stdlib.h>

#include "taskbench.h"

typedef struct {
    const taskbench_options *options;
    int rank, ranks;
    uint64_t own;
    /* At step * ranks + rank: the points of the step before that a rank needs. */
    uint64_t *needs;
    /* By step modulo 2 and point; inputs from other ranks as well. */
    taskbench_output rows[2][TASKBENCH_MAX_WIDTH];
} program;

static int owner(const program *self, uint32_t point) {
    return (int)((uint64_t)point * (uint64_t)self->ranks / self->options->graph.width);
}

static void prepare(program *self) {
    const taskbench_graph *graph = &self->options->graph;
    self->needs = calloc((size_t)(graph->steps + 1) * (size_t)self->ranks, sizeof *self->needs);
    for (uint32_t point = 0; point < graph->width; point++)
        if (owner(self, point) == self->rank) self->own |= UINT64_C(1) << point;
    for (uint32_t step = 0; step < graph->steps; step++) {
        for (uint64_t points = taskbench_points(graph, step); points;) {
            uint32_t point = taskbench_next(&points);
            self->needs[step * (uint32_t)self->ranks + (uint32_t)owner(self, point)] |=
                taskbench_inputs(graph, step, point);
        }
    }
}

static void send(program *self, uint32_t step, uint32_t point, MPI_Request *requests, int *count) {
    const uint64_t *needs = self->needs + (step + 1) * (uint32_t)self->ranks;
    for (int rank = 0; rank < self->ranks; rank++) {
        if (rank == self->rank || !(needs[rank] >> point & 1)) continue;
        MPI_Isend(&self->rows[step & 1][point], sizeof(taskbench_output), MPI_BYTE, rank,
                  (int)point, MPI_COMM_WORLD, &requests[(*count)++]);
    }
}

static void run(program *self, MPI_Request *sends[2]) {
    const taskbench_graph *graph = &self->options->graph;
    MPI_Request receives[TASKBENCH_MAX_WIDTH];
    int sent[2] = {0, 0};
    for (uint32_t step = 0; step < graph->steps; step++) {
        taskbench_output *before = self->rows[~step & 1], *row = self->rows[step & 1];
        int received = 0;
        uint64_t needs = self->needs[step * (uint32_t)self->ranks + (uint32_t)self->rank];
        for (needs &= ~self->own; needs;) {
            uint32_t point = taskbench_next(&needs);
            MPI_Irecv(&before[point], sizeof *before, MPI_BYTE, owner(self, point), (int)point,
                      MPI_COMM_WORLD, &receives[received++]);
        }
        MPI_Waitall(received, receives, MPI_STATUSES_IGNORE);
        /* What was sent from this row two steps ago. */
        MPI_Waitall(sent[step & 1], sends[step & 1], MPI_STATUSES_IGNORE);
        sent[step & 1] = 0;
        for (uint64_t points = taskbench_points(graph, step) & self->own; points;) {
            uint32_t point = taskbench_next(&points), count = 0;
            const void *inputs[TASKBENCH_MAX_WIDTH];
            for (uint64_t producers = taskbench_inputs(graph, step, point); producers;)
                inputs[count++] = &before[taskbench_next(&producers)];
            taskbench_run(graph, step, point, self->options->iterations, inputs, count,
                          &row[point]);
            send(self, step, point, sends[step & 1], &sent[step & 1]);
        }
    }
    for (int row = 0; row < 2; row++) MPI_Waitall(sent[row], sends[row], MPI_STATUSES_IGNORE);
}

static int is_final(const program *self) {
    const taskbench_graph *graph = &self->options->graph;
    const uint32_t last = graph->steps - 1;
    int is_right = 1;
    for (uint64_t points = taskbench_points(graph, last) & self->own; points;) {
        uint32_t point = taskbench_next(&points);
        is_right &= taskbench_is_final(graph, &self->rows[last & 1][point], point);
    }
    MPI_Allreduce(MPI_IN_PLACE, &is_right, 1, MPI_INT, MPI_LAND, MPI_COMM_WORLD);
    return is_right;
}

int main(int argc, char **argv) {
    static program self;
    static taskbench_series series;
    taskbench_options options;
    int status = taskbench_parse(&options, "mpi", argc, argv);
    if (status >= 0) return status;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &self.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &self.ranks);
    options.workers = (uint32_t)self.ranks;
    self.options = &options;
    prepare(&self);
    MPI_Request *sends[2];
    for (int row = 0; row < 2; row++)
        sends[row] = malloc(sizeof **sends * TASKBENCH_MAX_WIDTH * (size_t)self.ranks);
    taskbench_begin(&series);
    while (taskbench_more(&series, &options)) {
        MPI_Barrier(MPI_COMM_WORLD);
        double begin = taskbench_seconds();
        run(&self, sends);
        MPI_Barrier(MPI_COMM_WORLD);
        /* All ranks go by the time of one. */
        double seconds = taskbench_seconds() - begin;
        MPI_Bcast(&seconds, 1, MPI_DOUBLE, 0, MPI_COMM_WORLD);
        taskbench_add(&series, &options, seconds, is_final(&self));
    }
    status = !series.is_valid;
    if (self.rank == 0) status = taskbench_finish(&series, &options, "mpi");
    MPI_Finalize();
    return status;
}
