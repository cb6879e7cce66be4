/* What a traced session records: part of pto2_segment.h, whose rules hold here.
 *
 * Each writer has a buffer of its own, a ring of records behind a head: the orchestrator's
 * program thread, each scheduler thread, each core's worker. The orchestrator's process reads
 * them all and says how far; a full buffer drops the record and counts it. */
#ifndef PTO2_TRACE_RECORDS_H
#define PTO2_TRACE_RECORDS_H

#include "pto2_pages.h"

#define PTO2_TRACE_WRITERS (1u + PTO2_MAX_SCHEDULER_THREADS + PTO2_MAX_CORES)

/* How many records of each buffer were read, never more than there are: the orchestrator's
 * first, then those of the scheduler's threads, then the cores'. Writer: orchestrator. */
typedef struct pto2_trace_positions {
    uint64_t taken[PTO2_TRACE_WRITERS]; /* (word) release: the copies of the records */
} pto2_trace_positions;

#define PTO2_TRACE_POSITIONS_FIELDS(F, T) \
    F(T, taken, 0)
PTO2_ASSERT_LAYOUT(pto2_trace_positions, PTO2_TRACE_POSITIONS_FIELDS, 1032);

/* Start of each buffer. Writer: the buffer's. */
typedef struct pto2_trace_head {
    uint64_t written; /* (word) records since the session began; release: the records */
    uint64_t dropped; /* (word) records that found the buffer full */
    uint64_t reserved[6];
} pto2_trace_head;

#define PTO2_TRACE_HEAD_FIELDS(F, T) \
    F(T, written, 0) F(T, dropped, 8) F(T, reserved, 16)
PTO2_ASSERT_LAYOUT(pto2_trace_head, PTO2_TRACE_HEAD_FIELDS, 64);

/* One record, published by `written`. */
typedef struct pto2_trace_record {
    uint64_t what; /* event 7:0, time in ns 63:8, or the producer's id */
    uint64_t task; /* local id 31:0, ring 35:32, detail 63:36 */
} pto2_trace_record;

#define PTO2_TRACE_RECORD_FIELDS(F, T) \
    F(T, what, 0) F(T, task, 8)
PTO2_ASSERT_LAYOUT(pto2_trace_record, PTO2_TRACE_RECORD_FIELDS, 16);

/* A buffer is a multiple of the least, which is whole pages on every machine. */
#define PTO2_TRACE_BYTES_LEAST 65536u
#define PTO2_TRACE_BYTES_MOST 0x40000000u

#endif
