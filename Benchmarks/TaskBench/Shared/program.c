#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "taskbench.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void help(const char *system) {
    printf("taskbench-%s: runs one graph of Task Bench, checks every input, prints JSON.\n\n"
           "  --pattern NAME    stencil_1d (default)",
           system);
    for (int pattern = 0; pattern < TASKBENCH_PATTERNS; pattern++)
        if (pattern != TASKBENCH_STENCIL_1D)
            printf(", %s", taskbench_pattern_name((taskbench_pattern)pattern));
    printf("\n"
           "  --width N         points of a step, 1 to %d (4)\n"
           "  --steps N         (1000)\n"
           "  --radix N         of nearest, spread and random_nearest, 1 to %d (5)\n"
           "  --iter N          iterations of a task, %d FLOP each (0)\n"
           "  --imbalance F     iterations differ by F times the mean, 0 to 2 (0)\n"
           "  --workers N       (one for each CPU it may use)\n"
           "  --seconds S       repeats runs for so long (0.2)\n"
           "  --runs N          repeats N times instead, the first of which does not count\n"
           "  --break           one task puts out something wrong: exit status 1\n",
           TASKBENCH_MAX_WIDTH, TASKBENCH_MAX_RADIX, TASKBENCH_FLOP);
    if (strcmp(system, "pto2") == 0)
        printf("  --explicit        dependencies by the ids of tasks, not through tensors\n"
               "  --window N        tasks that the ring holds, a power of two (1024)\n"
               "  --lanes N         dispatches that a core holds, 1 to 64 (64)\n"
               "  --threads N       of the scheduler, 1 to 8 (1)\n"
               "  --no-ahead        no dispatch before every producer is COMPLETED\n"
               "  --no-moves        cores run where Linux leaves them\n"
               "  --pinned          each core stays on a CPU\n"
               "  --near            each point has a core, near which its tasks are to run\n"
               "  --in-place        outputs are external tensors, which are changed in place\n"
               "  --snapshots       the same, and each task's output is copied before it\n"
               "  --trace FILE      what happens to each task is recorded\n"
               "  --replay N        N steps are recorded and then replayed; 0 = none (0)\n");
    printf("\nExit status: 0, 1 for a wrong or failed run, 64 for wrong usage.\n");
}

static int whole(const char *text, uint64_t least, uint64_t most, uint64_t *value) {
    char *end;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end || errno || number < least || number > most)
        return 0;
    *value = number;
    return 1;
}

static int real(const char *text, double most, double *value) {
    char *end;
    *value = strtod(text, &end);
    return end != text && *end == 0 && *value >= 0 && *value <= most;
}

static int pattern(const char *text, taskbench_pattern *value) {
    for (int index = 0; index < TASKBENCH_PATTERNS; index++) {
        if (strcmp(text, taskbench_pattern_name((taskbench_pattern)index)) != 0) continue;
        *value = (taskbench_pattern)index;
        return 1;
    }
    return 0;
}

/* Whether the value fits the option; 1 for one that is not known, too, with `known` 0. */
static int take(taskbench_options *options, const char *name, const char *text, int *known) {
    taskbench_graph *graph = &options->graph;
    uint64_t number = 0;
    double factor = 0;
    int fits = 1;
    *known = 1;
    if (strcmp(name, "--pattern") == 0) return pattern(text, &graph->pattern);
    if (strcmp(name, "--seconds") == 0) return real(text, 1e6, &options->seconds);
    if (strcmp(name, "--iter") == 0)
        return whole(text, 0, TASKBENCH_MAX_ITERATIONS, &options->iterations);
    if (strcmp(name, "--imbalance") == 0) {
        fits = real(text, 2, &factor);
        graph->imbalance = (uint32_t)(factor * 1000 + 0.5);
        return fits;
    }
    const struct {
        const char *name;
        uint64_t least, most;
        uint32_t *value;
    } numbers[] = {
        {"--width", 1, TASKBENCH_MAX_WIDTH, &graph->width},
        {"--steps", 1, TASKBENCH_MAX_STEPS, &graph->steps},
        {"--radix", 1, TASKBENCH_MAX_RADIX, &graph->radix},
        {"--workers", 1, 64, &options->workers},
        {"--runs", 1, 1000, &options->runs},
        {"--window", 64, 1 << 16, &options->window},
        {"--lanes", 1, 64, &options->lanes},
        {"--threads", 1, 8, &options->threads},
        {"--replay", 0, 1024, &options->replay},
    };
    for (size_t index = 0; index < sizeof numbers / sizeof numbers[0]; index++) {
        if (strcmp(name, numbers[index].name) != 0) continue;
        fits = whole(text, numbers[index].least, numbers[index].most, &number);
        if (fits) *numbers[index].value = (uint32_t)number;
        return fits;
    }
    *known = 0;
    return 1;
}

static int is_of_pto2(const char *name) {
    return strcmp(name, "--window") == 0 || strcmp(name, "--lanes") == 0 ||
           strcmp(name, "--threads") == 0 || strcmp(name, "--replay") == 0;
}

/* That this process may use. */
static uint32_t cpus(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) return (uint32_t)CPU_COUNT(&set);
    return (uint32_t)sysconf(_SC_NPROCESSORS_ONLN);
}

uint32_t taskbench_cpu(uint32_t index) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 0;
    index %= (uint32_t)CPU_COUNT(&set);
    uint32_t cpu = 0;
    for (;; cpu++)
        if (CPU_ISSET(cpu, &set) && index-- == 0) return cpu;
}

int taskbench_parse(taskbench_options *options, const char *system, int argc,
                    char *const *argv) {
    memset(options, 0, sizeof *options);
    options->graph.pattern = TASKBENCH_STENCIL_1D;
    options->graph.width = 4;
    options->graph.steps = 1000;
    options->graph.radix = 5;
    options->workers = cpus();
    options->seconds = 0.2;
    options->window = 1024;
    options->lanes = 64;
    options->threads = 1;
    const int is_ours = strcmp(system, "pto2") == 0;
    for (int index = 1; index < argc; index++) {
        const char *name = argv[index];
        if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) return help(system), 0;
        if (strcmp(name, "--break") == 0) {
            options->graph.is_broken = 1;
        } else if (is_ours && strcmp(name, "--explicit") == 0) {
            options->is_explicit = 1;
        } else if (is_ours && strcmp(name, "--no-ahead") == 0) {
            options->without_ahead = 1;
        } else if (is_ours && strcmp(name, "--no-moves") == 0) {
            options->without_moves = 1;
        } else if (is_ours && strcmp(name, "--pinned") == 0) {
            options->is_pinned = 1;
        } else if (is_ours && strcmp(name, "--near") == 0) {
            options->is_near = 1;
        } else if (is_ours && strcmp(name, "--in-place") == 0) {
            options->is_in_place = 1;
        } else if (is_ours && strcmp(name, "--snapshots") == 0) {
            options->is_in_place = options->with_snapshots = 1;
        } else if (is_ours && strcmp(name, "--trace") == 0 && index + 1 < argc) {
            options->trace = argv[++index];
        } else {
            const char *text = index + 1 < argc ? argv[++index] : "";
            int known, fits = take(options, name, text, &known);
            if (known && fits && (is_ours || !is_of_pto2(name))) continue;
            if (known && !fits) fprintf(stderr, "taskbench-%s: %s %s: ", system, name, text);
            else fprintf(stderr, "taskbench-%s: unknown option %s: ", system, name);
            fprintf(stderr, "see --help\n");
            return 64;
        }
    }
    taskbench_prepare(&options->graph);
    return -1;
}

void taskbench_complain(const char *system, const char *what) {
    fprintf(stderr, "taskbench-%s: %s\n", system, what);
}

double taskbench_seconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

void taskbench_begin(taskbench_series *series) {
    memset(series, 0, sizeof *series);
    series->is_valid = 1;
}

int taskbench_more(const taskbench_series *series, const taskbench_options *options) {
    if (options->runs) return series->count + series->warm_up < options->runs;
    if (!series->is_valid) return 0;
    return series->count == 0 || (series->total < options->seconds && series->count < 1000);
}

void taskbench_add(taskbench_series *series, taskbench_options *options, double seconds,
                   int is_valid) {
    options->graph.run++;
    series->is_valid &= is_valid;
    const int may_warm_up =
        options->runs ? options->runs > 1 : is_valid && seconds < 10 * options->seconds;
    if (series->warm_up == 0 && series->count == 0 && may_warm_up) {
        series->warm_up = 1;
        return;
    }
    series->seconds[series->count++] = seconds;
    series->total += seconds;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int taskbench_finish(taskbench_series *series, const taskbench_options *options,
                     const char *system) {
    const taskbench_graph *graph = &options->graph;
    double median = 0, least = 0;
    if (series->count > 0) {
        qsort(series->seconds, series->count, sizeof series->seconds[0], ascending);
        uint32_t middle = series->count / 2;
        median = series->count % 2 ? series->seconds[middle]
                                   : (series->seconds[middle - 1] + series->seconds[middle]) / 2;
        least = series->seconds[0];
    }
    double flop = (double)taskbench_total_iterations(graph, options->iterations) * TASKBENCH_FLOP;
    printf("{\"system\":\"%s\",\"pattern\":\"%s\",\"width\":%u,\"steps\":%u,\"radix\":%u,"
           "\"imbalance\":%g,\"workers\":%u,\"iterations\":%llu,\"tasks\":%llu,"
           "\"dependencies\":%llu,\"flop\":%.17g,\"runs\":%u,\"all_runs\":%u,\"seconds\":%.9g,"
           "\"least_seconds\":%.9g,\"valid\":%s}\n",
           system, taskbench_pattern_name(graph->pattern), graph->width, graph->steps, graph->radix,
           graph->imbalance / 1000.0, options->workers, (unsigned long long)options->iterations,
           (unsigned long long)taskbench_tasks(graph),
           (unsigned long long)taskbench_dependencies(graph), flop, series->count,
           series->count + series->warm_up, median, least, series->is_valid ? "true" : "false");
    if (!series->is_valid) taskbench_complain(system, "a task had a wrong input");
    return series->is_valid ? 0 : 1;
}
