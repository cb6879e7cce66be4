/* Instructions that each role takes for a task.
 *
 * Counted by single-stepping the role's process (PTRACE_SINGLESTEP) in the middle of
 * an endless run of the test program while the others run as they are: the one that is
 * stepped is by far the slowest, so it never waits, and its steps are work. Windows are
 * small: what the scheduler wires and what it completes are the same tasks. What the
 * role gets done meanwhile is read from the segment: log records, RELEASED tasks, or
 * FINs. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "pto2_segment.h"

static const char *const role_names[] = {"orchestrator", "scheduler", "worker"};
enum role { ORCHESTRATOR, SCHEDULER, WORKER };

/* A segment that another process is using, mapped read-only. Its header is trusted:
 * the process was started by this one. */
struct segment {
    const volatile unsigned char *base;
    size_t bytes;
    const volatile pto2_header *header;
};

static void sleep_microseconds(long microseconds) {
    struct timespec pause = {0, microseconds * 1000};
    nanosleep(&pause, NULL);
}

static const volatile void *section(const struct segment *s, uint32_t kind) {
    for (uint32_t i = 0; i < s->header->section_count && i < PTO2_MAX_SECTIONS; i++)
        if (s->header->sections[i].kind == kind) return s->base + s->header->sections[i].offset;
    return NULL;
}

static bool map_segment(pid_t bench, struct segment *s) {
    char prefix[32];
    snprintf(prefix, sizeof prefix, "pto2-%d-", bench);
    DIR *directory = opendir("/dev/shm");
    if (!directory) return false;
    bool found = false;
    for (struct dirent *entry; !found && (entry = readdir(directory));) {
        if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0) continue;
        char path[300];
        snprintf(path, sizeof path, "/dev/shm/%s", entry->d_name);
        int descriptor = open(path, O_RDONLY | O_CLOEXEC);
        struct stat status;
        if (descriptor >= 0 && fstat(descriptor, &status) == 0 && status.st_size > 4096) {
            void *base = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, descriptor, 0);
            if (base != MAP_FAILED) {
                *s = (struct segment){base, (size_t)status.st_size, base};
                found = s->header->magic == PTO2_MAGIC;
                if (!found) munmap(base, (size_t)status.st_size);
            }
        }
        if (descriptor >= 0) close(descriptor);
    }
    closedir(directory);
    return found;
}

/* FNV-1a of 8 bytes, the lowest first. */
static uint64_t add_to_hash(uint64_t hash, uint64_t number) {
    for (int shift = 0; shift < 64; shift += 8)
        hash = (hash ^ (number >> shift & 0xFF)) * 0x100000001B3ull;
    return hash;
}

/* This build's records lie in the segment as its header says: `layout_hash`, as
 * SegmentLayout.swift makes it. */
static bool has_this_layout(const struct segment *s) {
    uint64_t hash = add_to_hash(0xCBF29CE484222325ull, pto2_layout_hash());
    for (uint32_t i = 0; i < s->header->section_count && i < PTO2_MAX_SECTIONS; i++) {
        const volatile pto2_section *section = &s->header->sections[i];
        hash = add_to_hash(hash, section->kind);
        hash = add_to_hash(hash, section->index);
        hash = add_to_hash(hash, section->offset);
        hash = add_to_hash(hash, section->bytes);
        hash = add_to_hash(hash, section->writer);
    }
    return hash == s->header->layout_hash;
}

static uint32_t released(const struct segment *s) {
    const volatile pto2_scheduler_page *page = section(s, PTO2_SECTION_SCHEDULER);
    uint32_t sum = 0;
    for (uint32_t ring = 0; ring < s->header->configuration.rings; ring++)
        sum += page->rings[ring].released;
    return sum;
}

static const volatile pto2_core_page *core_page(const struct segment *s, uint32_t core) {
    size_t stride = s->header->page_bytes;
    return (const volatile pto2_core_page *)((const volatile unsigned char *)section(
                                                 s, PTO2_SECTION_CORES) +
                                             core * stride);
}

/* One run; returns instructions a task; 0 when nothing was done meanwhile, negative when
 * the run failed. */
static double measure(const char *bin, enum role role, const char *graph, long steps) {
    if (role == SCHEDULER) steps *= 4;
    char executable[4096], program[4096];
    snprintf(executable, sizeof executable, "%s/pto2-orchestrator", bin);
    snprintf(program, sizeof program, "%s/libTestProgram.so", bin);
    pid_t pid = fork();
    if (pid == 0) {
        setenv("PTO2_BIN_DIR", bin, 1);
        setenv("PTO2_KERNEL_PATH", bin, 1);
        /* That it is interrupted is the end of every run. */
        int null = open("/dev/null", O_WRONLY);
        dup2(null, 1);
        dup2(null, 2);
        /* A process that is stepped looks hung. */
        execl(executable, executable, "--program", program, "--quiet", "--task-window", "64",
              "--consumed-window", "1048576", "--stop-grace", "600", "--", graph, "1000000",
              (char *)NULL);
        _exit(127);
    }
    struct segment s = {0};
    struct timespec begin, now;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    double result = -1;
    bool has_segment = false;
    do {
        if (waitpid(pid, NULL, WNOHANG) == pid) {
            fprintf(stderr, "pto2-instructions: %s %s ended early\n", executable, graph);
            return -1;
        }
        if (!has_segment) {
            has_segment = map_segment(pid, &s);
            if (has_segment && !has_this_layout(&s)) {
                fprintf(stderr, "pto2-instructions: %s lays the segment out in another way; "
                                "measure it with the pto2-instructions of its own build\n", bin);
                munmap((void *)(uintptr_t)s.base, s.bytes);
                kill(pid, SIGTERM);
                waitpid(pid, NULL, 0);
                return -1;
            }
        }
        if (has_segment && released(&s) - s.header->configuration.first_position > 4000) break;
        sleep_microseconds(50);
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec - begin.tv_sec < 20);
    if (has_segment) {
        const volatile pto2_scheduler_page *scheduler = section(&s, PTO2_SECTION_SCHEDULER);
        const volatile pto2_orchestrator_page *own = section(&s, PTO2_SECTION_ORCHESTRATOR);
        /* aic0: the one matrix core, which no task for it can avoid when it is slow. */
        const volatile pto2_core_page *page = core_page(&s, 0);
        pid_t victim = role == ORCHESTRATOR ? pid
                       : role == SCHEDULER  ? (pid_t)scheduler->process.pid
                                            : (pid_t)page->process.pid;
        int status;
        if (victim > 0 && ptrace(PTRACE_SEIZE, victim, NULL, NULL) == 0 &&
            ptrace(PTRACE_INTERRUPT, victim, NULL, NULL) == 0 &&
            waitpid(victim, &status, __WALL) == victim) {
            uint32_t cond[PTO2_MAX_LANES];
            for (int lane = 0; lane < PTO2_MAX_LANES; lane++) cond[lane] = page->cond[lane];
            uint32_t first = 0, last = 0, done = 0;
            long counted = 0, first_step = 0, last_step = 0;
            /* From the first to the last piece of progress, so that both ends are whole. */
            for (long step = 0; step < steps; step++) {
                if (ptrace(PTRACE_SINGLESTEP, victim, NULL, NULL) != 0) break;
                if (waitpid(victim, &status, __WALL) != victim || !WIFSTOPPED(status)) break;
                counted++;
                uint32_t at = done;
                if (role == ORCHESTRATOR) at = own->submitted;
                if (role == SCHEDULER) at = released(&s);
                if (role == WORKER)
                    for (int lane = 0; lane < PTO2_MAX_LANES; lane++) {
                        uint32_t word = page->cond[lane];
                        if (word != cond[lane] && word & PTO2_COND_FIN) at = ++done;
                        cond[lane] = word;
                    }
                if (step == 0) last = at;
                if (at == last) continue;
                if (first_step == 0) {
                    first = at;
                    first_step = counted;
                }
                last = at;
                last_step = counted;
            }
            result = last != first ? (double)(last_step - first_step) / (last - first) : 0;
            ptrace(PTRACE_DETACH, victim, NULL, NULL);
        }
        munmap((void *)(uintptr_t)s.base, s.bytes);
    }
    /* The run is not needed any more, and has nothing of value. */
    kill(pid, SIGTERM);
    waitpid(pid, NULL, 0);
    return result;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void usage(FILE *to) {
    fputs("usage: pto2-instructions [--bin DIR]... [--graph NAME]... [--role NAME]...\n"
          "                         [--steps N] [--rounds N] [--json] [--help]\n\n"
          "Instructions that each role takes for a task, by single-stepping it in the middle\n"
          "of a run of the test program; medians of some rounds, and the ratio to the first\n"
          "--bin. A worker is aic0: a scene without matrix kernels has no figure for it (-).\n\n"
          "  --bin DIR    build products (default .build/release); may be repeated: those of\n"
          "               before, then those of after\n"
          "  --graph      a scene of the test program (default chain, aivchain, outputs)\n"
          "  --role       orchestrator, scheduler or worker (default: all)\n"
          "  --steps N    instructions of a round, 1000 to 10000000 (default 60000); four times\n"
          "               as many of a scheduler, which works in batches of up to 64 tasks\n"
          "  --rounds N   1 to 99 (default 3)\n"
          "  --json       one JSON object\n\n"
          "exit status: 0, 1 when a run fails, 2 for a wrong command line\n"
          "example: pto2-instructions --bin /tmp/before --bin .build/release --graph chain\n",
          to);
}

static long number(const char *option, const char *text, long least, long most) {
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno || *end || end == text || value < least || value > most) {
        fprintf(stderr, "pto2-instructions: --%s %s: expected %ld to %ld\n", option, text, least,
                most);
        exit(2);
    }
    return value;
}

static int too_many(const char *option, int most) {
    fprintf(stderr, "pto2-instructions: --%s: expected at most %d of them\n", option, most);
    return 2;
}

int main(int argc, char **argv) {
    const char *bins[8], *graphs[16];
    int bin_count = 0, graph_count = 0;
    bool roles[3] = {false, false, false}, json = false;
    long steps = 60000, rounds = 3;
    static const struct option options[] = {
        {"bin", required_argument, NULL, 'b'},    {"graph", required_argument, NULL, 'g'},
        {"role", required_argument, NULL, 'r'},   {"steps", required_argument, NULL, 's'},
        {"rounds", required_argument, NULL, 'n'}, {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
    };
    for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;)
        switch (option) {
        case 'b':
            if (bin_count == 8) return too_many("bin", 8);
            bins[bin_count++] = optarg;
            break;
        case 'g':
            if (graph_count == 16) return too_many("graph", 16);
            graphs[graph_count++] = optarg;
            break;
        case 'r': {
            int role = 0;
            while (role < 3 && strcmp(optarg, role_names[role]) != 0) role++;
            if (role == 3) {
                fprintf(stderr, "pto2-instructions: --role %s: expected orchestrator, scheduler "
                                "or worker\n", optarg);
                return 2;
            }
            roles[role] = true;
            break;
        }
        case 's': steps = number("steps", optarg, 1000, 10000000); break;
        case 'n': rounds = number("rounds", optarg, 1, 99); break;
        case 'j': json = true; break;
        case 'h': usage(stdout); return 0;
        default: usage(stderr); return 2;
        }
    if (optind < argc) {
        fprintf(stderr, "pto2-instructions: unexpected argument %s\n", argv[optind]);
        usage(stderr);
        return 2;
    }
    if (bin_count == 0) bins[bin_count++] = ".build/release";
    if (graph_count == 0) {
        graphs[graph_count++] = "chain";
        graphs[graph_count++] = "aivchain";
        graphs[graph_count++] = "outputs";
    }
    if (!roles[0] && !roles[1] && !roles[2]) roles[0] = roles[1] = roles[2] = true;

    if (json) printf("{\"steps\": %ld, \"rounds\": %ld, \"rows\": [", steps, rounds);
    else printf("%-14s %-20s %s\n", "role", "graph", "instructions a task, each --bin (ratio)");
    const char *comma = "";
    for (int role = 0; role < 3; role++) {
        if (!roles[role]) continue;
        for (int graph = 0; graph < graph_count; graph++) {
            double medians[8], samples[8][99];
            /* In turns: A B A B. */
            for (long round = 0; round < rounds; round++)
                for (int bin = 0; bin < bin_count; bin++) {
                    double sample = measure(bins[bin], (enum role)role, graphs[graph], steps);
                    if (sample < 0) {
                        fprintf(stderr,
                                "pto2-instructions: no figure for %s of %s with %s\n",
                                role_names[role], graphs[graph], bins[bin]);
                        return 1;
                    }
                    samples[bin][round] = sample;
                }
            for (int bin = 0; bin < bin_count; bin++) {
                qsort(samples[bin], (size_t)rounds, sizeof(double), compare);
                medians[bin] = samples[bin][rounds / 2];
            }
            if (json)
                printf("%s\n  {\"role\": \"%s\", \"graph\": \"%s\", \"instructions\": [", comma,
                       role_names[role], graphs[graph]);
            else printf("%-14s %-20s", role_names[role], graphs[graph]);
            for (int bin = 0; bin < bin_count; bin++) {
                if (json) printf("%s%.1f", bin ? ", " : "", medians[bin]);
                else if (medians[bin] == 0) printf("        -");
                else printf(" %8.1f (%.3f)", medians[bin], medians[bin] / medians[0]);
            }
            printf(json ? "]}" : "\n");
            comma = ",";
            fflush(stdout);
        }
    }
    if (json) printf("\n]}\n");
    return 0;
}
