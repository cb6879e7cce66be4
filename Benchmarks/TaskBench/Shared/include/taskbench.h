/* Task Bench (Slaughter et al., SC'20), written anew: graphs of steps and points whose
 * tasks compute, and check that their inputs are the right ones. Every system that is
 * compared runs this code. */
#ifndef TASKBENCH_H
#define TASKBENCH_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Graphs ------------------------------------------------------------------- */

/* Point i of a step depends on these points of the step before, as far as they are
 * there. w is the width, r the radix. */
typedef enum taskbench_pattern {
    TASKBENCH_TRIVIAL,             /* none */
    TASKBENCH_NO_COMM,             /* i */
    TASKBENCH_STENCIL_1D,          /* i - 1, i, i + 1 */
    TASKBENCH_STENCIL_1D_PERIODIC, /* the same modulo w */
    TASKBENCH_DOM,                 /* i - 1, i; steps grow from one point and shrink to one */
    TASKBENCH_TREE,                /* i / 2; steps double from one point to w */
    TASKBENCH_FFT,                 /* i - d, i, i + d; d = 1, 2, 4, ... in turn */
    TASKBENCH_NEAREST,             /* i - r / 2 ... i + (r - 1) / 2 */
    TASKBENCH_SPREAD,              /* r points w / r apart, moved by one with every step */
    TASKBENCH_RANDOM_NEAREST,      /* i, and a quarter of the others of nearest */
    TASKBENCH_PATTERNS
} taskbench_pattern;

enum {
    TASKBENCH_MAX_WIDTH = 64,
    TASKBENCH_MAX_RADIX = 63,
    TASKBENCH_MAX_STEPS = 1 << 20,
    TASKBENCH_MAX_SETS = 6,
    /* Steps after which spread and random_nearest begin again. */
    TASKBENCH_PERIOD = 3
};

typedef struct taskbench_graph {
    taskbench_pattern pattern;
    uint32_t width, steps, radix;
    /* The iterations of a task differ from the mean by this many thousandths of it,
     * peak to peak: 0 to 2000. */
    uint32_t imbalance;
    /* One task puts out something wrong. */
    uint32_t is_broken;
    /* Counts the runs of a program from 1: what is left from the one before is wrong. */
    uint32_t run;
    /* The inputs of a point as bits, before those that are not there are taken off: the
     * sets follow each other with the steps. */
    uint32_t sets;
    uint64_t inputs[TASKBENCH_MAX_SETS][TASKBENCH_MAX_WIDTH];
} taskbench_graph;

/* Fills `run`, `sets` and `inputs`. */
void taskbench_prepare(taskbench_graph *graph);

/* What `taskbench_prepare` needs as one word, without the run, and back: for processes that share
 * nothing else. */
uint64_t taskbench_packed(const taskbench_graph *graph);
void taskbench_unpack(taskbench_graph *graph, uint64_t packed);

const char *taskbench_pattern_name(taskbench_pattern pattern);

static inline uint64_t taskbench_bits(uint32_t count) {
    return count >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << count) - 1;
}

/* The points of a step, as bits. */
static inline uint64_t taskbench_points(const taskbench_graph *graph, uint32_t step) {
    uint32_t width = graph->width;
    if (graph->pattern == TASKBENCH_TREE && step < 6 && (1u << step) < width)
        return taskbench_bits(1u << step);
    if (graph->pattern != TASKBENCH_DOM) return taskbench_bits(width);
    uint32_t left = graph->steps - step, first = left < width ? width - left : 0;
    if (step + 1 < left) left = step + 1;
    return taskbench_bits(left < width ? left : width) << first;
}

/* The points of the step before that a task depends on, as bits. */
static inline uint64_t taskbench_inputs(const taskbench_graph *graph, uint32_t step,
                                        uint32_t point) {
    if (step == 0) return 0;
    /* The first set with inputs is that of step 1, but for patterns that count from 0. */
    uint32_t set = graph->sets == 1 ? 0
                   : graph->pattern == TASKBENCH_FFT ? (step - 1) % graph->sets
                                                     : step % graph->sets;
    return graph->inputs[set][point] & taskbench_points(graph, step - 1);
}

/* Takes the lowest of the points out of a set that is not empty. */
static inline uint32_t taskbench_next(uint64_t *points) {
    uint32_t point = (uint32_t)__builtin_ctzll(*points);
    *points &= *points - 1;
    return point;
}

static inline uint32_t taskbench_count(uint64_t points) {
    uint32_t count = 0;
    for (; points; points &= points - 1) count++;
    return count;
}

static inline uint64_t taskbench_hash(uint64_t value) {
    value = (value ^ value >> 32) * UINT64_C(0xD6E8FEB86659FD93);
    value = (value ^ value >> 32) * UINT64_C(0xD6E8FEB86659FD93);
    return value ^ value >> 32;
}

/* ---- Tasks -------------------------------------------------------------------- */

/* What a task puts out. */
typedef struct taskbench_output {
    int64_t mark, point;
} taskbench_output;

/* The step and the run that an output is of. */
static inline int64_t taskbench_mark(const taskbench_graph *graph, uint32_t step) {
    return (int64_t)((uint64_t)graph->run << 32 | step);
}

/* The mark of an output whose task had a wrong input, or computed something wrong. */
#define TASKBENCH_POISON INT64_C(-1)

#define TASKBENCH_MAX_ITERATIONS (UINT64_C(0xFFFFFFFFFF))

/* 64 doubles, each x := x * x + x in an iteration. */
enum { TASKBENCH_FLOP = 128 };

/* How many iterations a task has; the mean over all tasks is `mean`. */
static inline uint64_t taskbench_iterations(const taskbench_graph *graph, uint32_t step,
                                            uint32_t point, uint64_t mean) {
    if (graph->imbalance == 0) return mean;
    double random = (double)(taskbench_hash((uint64_t)step << 32 | point) >> 11) * 0x1p-53;
    double factor = 1 + graph->imbalance / 1000.0 * (random - 0.5);
    return (uint64_t)((double)mean * factor + 0.5);
}

/* Sixteen registers of 4 doubles where there is AVX2. Every x stays between -0.5 and 0.
 * Returns their sum. */
typedef double taskbench_vector __attribute__((vector_size(32)));

static inline double taskbench_compute(uint64_t iterations) {
    taskbench_vector x[16];
    for (int i = 0; i < 16; i++) {
        double first = -0.25 - i / 64.0;
        x[i] = (taskbench_vector){first, first - 0x1p-8, first - 0x2p-8, first - 0x3p-8};
    }
    for (uint64_t iteration = 0; iteration < iterations; iteration++) {
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) x[i] = x[i] * x[i] + x[i];
    }
    taskbench_vector sum = x[0];
    for (int i = 1; i < 16; i++) sum += x[i];
    return sum[0] + sum[1] + sum[2] + sum[3];
}

/* The task that puts out something wrong, if one does. */
static inline uint32_t taskbench_broken_step(const taskbench_graph *graph) {
    return graph->pattern == TASKBENCH_TRIVIAL ? graph->steps - 1 : graph->steps / 2;
}

/* Runs a task. `inputs` are the outputs it depends on, by ascending points. What it puts
 * out is poisoned unless they are just those, and its own result is as it must be. */
static inline void taskbench_run(const taskbench_graph *graph, uint32_t step, uint32_t point,
                                 uint64_t mean, const void *const *inputs, uint32_t count,
                                 taskbench_output *output) {
    uint64_t expected = taskbench_inputs(graph, step, point);
    const int64_t before = taskbench_mark(graph, step - 1);
    int is_right = 1;
    uint32_t index = 0;
    while (expected) {
        uint32_t producer = taskbench_next(&expected);
        if (index == count) break;
        const taskbench_output *input = (const taskbench_output *)inputs[index++];
        is_right &= input->mark == before && input->point == producer;
    }
    is_right &= expected == 0 && index == count;
    uint64_t iterations = taskbench_iterations(graph, step, point, mean);
    if (iterations > 0) {
        double sum = taskbench_compute(iterations);
        is_right &= sum < 0 && sum > -64;
    }
    if (graph->is_broken && point == 0 && step == taskbench_broken_step(graph)) point++;
    output->mark = is_right ? taskbench_mark(graph, step) : TASKBENCH_POISON;
    output->point = point;
}

/* Whether an output of the last step is what it must be. */
static inline int taskbench_is_final(const taskbench_graph *graph, const taskbench_output *output,
                                     uint32_t point) {
    return output->mark == taskbench_mark(graph, graph->steps - 1) && output->point == point;
}

uint64_t taskbench_tasks(const taskbench_graph *graph);
uint64_t taskbench_dependencies(const taskbench_graph *graph);
/* Of all tasks. */
uint64_t taskbench_total_iterations(const taskbench_graph *graph, uint64_t mean);

/* ---- Programs ----------------------------------------------------------------- */

/* The command line that all of them have. */
typedef struct taskbench_options {
    taskbench_graph graph;
    uint64_t iterations;
    uint32_t workers;
    /* Runs are repeated for so long, one at least. */
    double seconds;
    /* Instead: so many runs, the same on every rank, whatever its clock says; 0 = by time. */
    uint32_t runs;
    /* pto2 alone. */
    uint32_t window;
    uint32_t lanes;
    uint32_t threads;
    int is_explicit;
    int without_ahead;
    int without_moves;
    /* Outputs are tensors of the program's, changed in place; with snapshots before. */
    int is_in_place;
    int with_snapshots;
    /* Worker c stays on the CPU at c. */
    int is_pinned;
    /* The tasks of a point are to run near the core that it has. */
    int is_near;
    /* The file of a trace, or NULL. */
    const char *trace;
    /* Steps that are recorded, and replayed together; 0 = none. */
    uint32_t replay;
} taskbench_options;

/* Returns -1, or the status to end with: 0 after --help, 64 after a wrong option. */
int taskbench_parse(taskbench_options *options, const char *system, int argc,
                    char *const *argv);

/* The runs of a program, one after another. */
typedef struct taskbench_series {
    uint32_t count, warm_up;
    int is_valid;
    double total;
    double seconds[1000];
} taskbench_series;

void taskbench_begin(taskbench_series *series);
/* Whether there is to be another one. */
int taskbench_more(const taskbench_series *series, const taskbench_options *options);
/* A run took so long, and its outputs were right or not; the next one follows. The first
 * one does not count, unless it took ten times as long as all were to take, or is the only one. */
void taskbench_add(taskbench_series *series, taskbench_options *options, double seconds,
                   int is_valid);
/* Prints one line of JSON. Returns the exit status: 0, or 1 for a wrong run. */
int taskbench_finish(taskbench_series *series, const taskbench_options *options,
                     const char *system);

/* The CPU at an index of those that this process may use, wrapping. */
uint32_t taskbench_cpu(uint32_t index);

/* One line on standard error. */
void taskbench_complain(const char *system, const char *what);

/* CLOCK_MONOTONIC. */
double taskbench_seconds(void);

#ifdef __cplusplus
}
#endif

#endif
