/* What the machine itself can do, without the runtime; and load beside it. */
#ifndef BENCH_RAW_H
#define BENCH_RAW_H

#include <stdint.h>
#include <sys/types.h>

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t bench_nanoseconds(void);

/* Two processes on CPU 0 and 1 pass a number to and fro, each through a cache
 * line of its own, spinning.
 * Returns the microseconds of a round trip: the median over batches of 100, so
 * that other load on the machine does not count as distance. Negative when not
 * one batch was done within the time, or a process could not be made. */
double bench_ping_pong(uint32_t round_trips, double limit_seconds);

/* So many processes compute at once, each on a CPU of its own while there are enough.
 * Returns rounds of a fixed amount of work a second, of all together: less when something
 * else runs, or when the CPUs share a core of the host at that moment. */
double bench_compute_rate(int processes, double seconds);

/* Starts processes that only spin, until bench_hogs_stop or the caller's end.
 * Returns how many were started; their ids are in pids. */
int bench_hogs_start(int count, pid_t *pids);
void bench_hogs_stop(int count, const pid_t *pids);

/* Starts an executable; argv ends with NULL. Returns its id, or -1. */
pid_t bench_start(const char *path, char *const argv[]);
/* Waits for a process; kills it when it has not ended in time. */
void bench_reap(pid_t pid, double limit_seconds);

#endif
