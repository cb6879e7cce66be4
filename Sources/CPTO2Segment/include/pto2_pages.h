/* What each process says of itself, a page a role: part of pto2_segment.h, whose rules
 * hold here. */
#ifndef PTO2_PAGES_H
#define PTO2_PAGES_H

#include "pto2_records.h"

/* First fault of one role. `code` is stored last, with release. */
#define PTO2_MESSAGE_BYTES 960
typedef struct pto2_error_block {
    uint32_t code;     /* (word) PTO2_ERROR_..., 0 = none; release: the rest */
    uint32_t ring;     /* all ones = about no ring */
    uint64_t task_id;  /* all ones = about no task */
    uint64_t needed;   /* bytes or items; 0 when not about a size */
    uint64_t available;
    uint64_t time_nanoseconds; /* CLOCK_MONOTONIC */
    uint32_t core;     /* all ones = about no core */
    uint32_t message_length;
    uint64_t reserved[2];
    char message[PTO2_MESSAGE_BYTES]; /* UTF-8, message_length bytes */
} pto2_error_block;

#define PTO2_ERROR_BLOCK_FIELDS(F, T) \
    F(T, code, 0) F(T, ring, 4) F(T, task_id, 8) F(T, needed, 16) F(T, available, 24) \
    F(T, time_nanoseconds, 32) F(T, core, 40) F(T, message_length, 44) F(T, reserved, 48) \
    F(T, message, 64)
PTO2_ASSERT_LAYOUT(pto2_error_block, PTO2_ERROR_BLOCK_FIELDS, 1024);

/* Who a role's process is. `pid` is stored last, with release. */
typedef struct pto2_process_record {
    uint32_t pid;         /* (word) 0 = none */
    uint32_t incarnation; /* 1 for the first process in this place */
    uint64_t start_time;  /* /proc/PID/stat field 22, clock ticks since boot */
    uint32_t supervised;  /* 1 = child of the orchestrator's launcher */
    uint32_t reserved;
    uint64_t heartbeat_nanoseconds; /* CLOCK_MONOTONIC, at announcement; the
                                       scheduler's at each look at the others too */
} pto2_process_record;

#define PTO2_PROCESS_RECORD_FIELDS(F, T) \
    F(T, pid, 0) F(T, incarnation, 4) F(T, start_time, 8) F(T, supervised, 16) \
    F(T, reserved, 20) F(T, heartbeat_nanoseconds, 24)
PTO2_ASSERT_LAYOUT(pto2_process_record, PTO2_PROCESS_RECORD_FIELDS, 32);

/* Per-ring words of the orchestrator. */
typedef struct pto2_orchestrator_ring {
    uint32_t current_task_index; /* (word) local id of the next task; for tools */
    uint32_t reserved[15];
} pto2_orchestrator_ring;

#define PTO2_ORCHESTRATOR_RING_FIELDS(F, T) \
    F(T, current_task_index, 0) F(T, reserved, 4)
PTO2_ASSERT_LAYOUT(pto2_orchestrator_ring, PTO2_ORCHESTRATOR_RING_FIELDS, 64);

/* The orchestrator's words, one section; each line has its own reason to be written. */
typedef struct pto2_orchestrator_page {
    uint32_t submitted; /* (word) log position; release: log, slots, descriptors */
    /* (word) the scheduler's `wanted` for which it was woken last; it sleeps on this word */
    uint32_t woken;
    uint32_t reserved[14];
    uint32_t parked; /* (word) PTO2_PARKED_...: what is waited on, 0 = awake */
    uint32_t target; /* (word) position it is waited to reach */
    /* (word) the scheduler's `failed` as the run began: its failure records are counted
       from there; stored before the run's first submission */
    uint32_t failed_before;
    uint32_t reserved2[13];
    uint32_t control; /* (word) PTO2_CONTROL_...; waited on by everyone */
    uint32_t reserved3[15];
    pto2_process_record process;
    uint32_t reserved4[8];
    pto2_error_block error;
    uint32_t scope_names; /* (word) names in their table; release: their records */
    uint32_t scope_uses;  /* (word) records of what scopes took; release: whose they are */
    uint32_t unnamed_scopes;    /* (word) begun with a name for which there was no room */
    uint32_t unmeasured_scopes; /* (word) of which the table of uses had no room */
    uint32_t unnamed_tasks;     /* (word) put together with a name for which there was no room */
    uint32_t reserved5[59];
    pto2_orchestrator_ring rings[PTO2_MAX_RINGS];
} pto2_orchestrator_page;

#define PTO2_ORCHESTRATOR_PAGE_FIELDS(F, T) \
    F(T, submitted, 0) F(T, woken, 4) F(T, reserved, 8) F(T, parked, 64) F(T, target, 68) \
    F(T, failed_before, 72) F(T, reserved2, 76) F(T, control, 128) F(T, reserved3, 132) \
    F(T, process, 192) \
    F(T, reserved4, 224) F(T, error, 256) F(T, scope_names, 1280) F(T, scope_uses, 1284) \
    F(T, unnamed_scopes, 1288) F(T, unmeasured_scopes, 1292) F(T, unnamed_tasks, 1296) \
    F(T, reserved5, 1300) \
    F(T, rings, 1536)
PTO2_ASSERT_LAYOUT(pto2_orchestrator_page, PTO2_ORCHESTRATOR_PAGE_FIELDS, 2048);

#define PTO2_CONTROL_RUNNING 0u
#define PTO2_CONTROL_DONE 1u  /* program over, all consumed: leave cleanly */
#define PTO2_CONTROL_FATAL 2u /* the error block says why */

/* What the orchestrator's `parked` may name. */
#define PTO2_PARKED_ON_WIRED 1u
#define PTO2_PARKED_ON_RELEASED 16u /* + ring */
#define PTO2_PARKED_ON_CONSUMED 32u /* + ring */

/* The scheduler's `control`. */
#define PTO2_SCHED_ABSENT 0u
#define PTO2_SCHED_ATTACHED 1u
#define PTO2_SCHED_FATAL 2u
#define PTO2_SCHED_STOPPED 3u /* every core has left, counters are final */

/* What the scheduler counted; plain stores, exact once STOPPED. */
typedef struct pto2_scheduler_counters {
    uint64_t tasks_completed;
    uint64_t edges; /* fanout edges made */
    uint64_t subtasks_dispatched;
    uint64_t parks; /* times a thread slept */
    uint64_t lost_locks; /* try-locks that another scheduler thread had */
    uint64_t reserved[3];
    uint32_t peak_main[PTO2_MAX_RINGS]; /* most tasks between submit and RELEASED */
    uint32_t peak_consumed[PTO2_MAX_RINGS]; /* the same up to CONSUMED */
    uint32_t peak_dep_pool[PTO2_MAX_RINGS];
    uint32_t reserved2[8];
    uint64_t peak_heap_bytes[PTO2_MAX_RINGS];
} pto2_scheduler_counters;

#define PTO2_SCHEDULER_COUNTERS_FIELDS(F, T) \
    F(T, tasks_completed, 0) F(T, edges, 8) F(T, subtasks_dispatched, 16) F(T, parks, 24) \
    F(T, lost_locks, 32) F(T, reserved, 40) F(T, peak_main, 64) F(T, peak_consumed, 96) \
    F(T, peak_dep_pool, 128) F(T, reserved2, 160) F(T, peak_heap_bytes, 192)
PTO2_ASSERT_LAYOUT(pto2_scheduler_counters, PTO2_SCHEDULER_COUNTERS_FIELDS, 256);

/* A task that FAILED: a root cause, not an echo. */
typedef struct pto2_failure {
    uint64_t task_id;
    uint32_t core; /* on which its last attempt ended */
    uint32_t code; /* PTO2_ERROR_... */
    uint16_t kills; /* workers that died while running it */
    uint16_t scope; /* copied from the main slot */
    uint32_t flags; /* kernel id 31:16, PTO2_FAILURE_..., PTO2_SLOT_... of the task */
} pto2_failure;

#define PTO2_FAILURE_FIELDS(F, T) \
    F(T, task_id, 0) F(T, core, 8) F(T, code, 12) F(T, kills, 16) F(T, scope, 18) F(T, flags, 20)
PTO2_ASSERT_LAYOUT(pto2_failure, PTO2_FAILURE_FIELDS, 24);

#define PTO2_FAILURE_DEADLINE 0x100u /* killed because a kernel ran too long */
#define PTO2_FAILURE_STOPPED 0x200u  /* killed because it was stopped (SIGSTOP) */
#define PTO2_FAILURE_GARBAGE 0x400u  /* killed because of what stood in its COND words */

/* What did not end normally. Writer: scheduler; `failed` is released after the
 * record it counts, and before the task is RELEASED. */
#define PTO2_MAX_FAILURES 32 /* records; more are only counted */
typedef struct pto2_failures {
    uint32_t failed;    /* (word) tasks that FAILED; release: their records */
    uint32_t cancelled; /* (word) tasks that were CANCELLED */
    uint32_t lost;      /* (word) subtasks whose worker died, run again or not */
    uint32_t quarantined; /* (word) workers killed because of their COND words */
    pto2_failure first[PTO2_MAX_FAILURES];
} pto2_failures;

#define PTO2_FAILURES_FIELDS(F, T) \
    F(T, failed, 0) F(T, cancelled, 4) F(T, lost, 8) F(T, quarantined, 12) F(T, first, 16)
PTO2_ASSERT_LAYOUT(pto2_failures, PTO2_FAILURES_FIELDS, 784);

/* What the dispatcher is about to store to DATA_MAIN_BASE, for a scheduler that
 * comes after it. `target` is stored before the word, a slot's bit in `pending`
 * is cleared after it: so it can be told which words were stored. */
typedef struct pto2_intent {
    uint64_t task_id;
    uint64_t target;  /* the word 31:0, its core and lane 63:32; 0 = none yet */
    uint32_t pending; /* (word) block 31:3, subtask slots 2:0 */
    uint32_t reserved;
} pto2_intent;

#define PTO2_INTENT_FIELDS(F, T) \
    F(T, task_id, 0) F(T, target, 8) F(T, pending, 16) F(T, reserved, 20)
PTO2_ASSERT_LAYOUT(pto2_intent, PTO2_INTENT_FIELDS, 24);

/* A subtask of the block that a scheduler was dispatching as it died, to be dispatched
 * again. */
#define PTO2_MAX_LOST 8 /* kernels of the block that was being dispatched, and some */
typedef struct pto2_lost_subtask {
    uint64_t task_id;
    uint32_t subtask; /* (word) PTO2_LOST_USED, block 31:3 and slot 1:0; 0 = free place */
    uint32_t reserved;
} pto2_lost_subtask;

#define PTO2_LOST_SUBTASK_FIELDS(F, T) \
    F(T, task_id, 0) F(T, subtask, 8) F(T, reserved, 12)
PTO2_ASSERT_LAYOUT(pto2_lost_subtask, PTO2_LOST_SUBTASK_FIELDS, 16);

#define PTO2_LOST_USED 0x4u

/* Per-ring words of the scheduler: the two watermarks. */
typedef struct pto2_scheduler_ring {
    uint32_t released; /* (word) last_task_released: one past the RELEASED prefix */
    uint32_t consumed; /* (word) last_task_consumed: one past the CONSUMED prefix */
    uint32_t reserved[14];
} pto2_scheduler_ring;

#define PTO2_SCHEDULER_RING_FIELDS(F, T) \
    F(T, released, 0) F(T, consumed, 4) F(T, reserved, 8)
PTO2_ASSERT_LAYOUT(pto2_scheduler_ring, PTO2_SCHEDULER_RING_FIELDS, 64);

/* The scheduler's words, one section. What is said of its restart: docs/faults.md. */
typedef struct pto2_scheduler_page {
    uint32_t wired; /* (word) log position: records before it are wired */
    uint32_t ring_wired[PTO2_MAX_RINGS]; /* (word) local id of the ring's next task to wire;
                                            stored before `wired` passes the task */
    uint32_t reserved[7];
    uint32_t parked; /* (word) bit t: thread t sleeps; thread 0 waits for `submitted` */
    uint32_t wanted; /* (word) position of `submitted` at which thread 0 is to be woken */
    uint32_t transfers_started; /* (word) transfers given to the link; release: their records */
    uint32_t reserved2[13];
    uint32_t control; /* (word) PTO2_SCHED_...; FATAL: see `error` */
    uint32_t reserved3[15];
    pto2_process_record process;
    uint32_t reserved4[8];
    pto2_error_block error;
    uint32_t reserved5[64];
    pto2_scheduler_ring rings[PTO2_MAX_RINGS];
    pto2_scheduler_counters counters;
    uint32_t reserved6[192];
    uint32_t admitted[PTO2_MAX_CORES]; /* (word) 1 while a READY worker is not fenced */
    uint32_t reserved7[136];
    uint32_t fenced[PTO2_MAX_CORES]; /* (word) READY value that is known to be gone */
    uint32_t reserved8[8];
    pto2_failures failures;
    uint32_t reserved9[76];
    pto2_intent intent;
    uint32_t reserved10[618];
    pto2_lost_subtask redo[PTO2_MAX_LOST];
    uint32_t reserved11[992];
} pto2_scheduler_page;

#define PTO2_SCHEDULER_PAGE_FIELDS(F, T) \
    F(T, wired, 0) F(T, ring_wired, 4) F(T, reserved, 36) F(T, parked, 64) F(T, wanted, 68) \
    F(T, transfers_started, 72) F(T, reserved2, 76) F(T, control, 128) F(T, reserved3, 132) \
    F(T, process, 192) F(T, reserved4, 224) F(T, error, 256) F(T, reserved5, 1280) \
    F(T, rings, 1536) F(T, counters, 2048) F(T, reserved6, 2304) F(T, admitted, 3072) \
    F(T, reserved7, 3552) F(T, fenced, 4096) F(T, reserved8, 4576) F(T, failures, 4608) \
    F(T, reserved9, 5392) F(T, intent, 5696) F(T, reserved10, 5720) F(T, redo, 8192) \
    F(T, reserved11, 8320)
PTO2_ASSERT_LAYOUT(pto2_scheduler_page, PTO2_SCHEDULER_PAGE_FIELDS, 12288);

/* What must have finished before a dispatch may begin: a dispatch to another core. */
typedef struct pto2_gate {
    uint32_t position; /* of the dispatch among all to its core */
    uint32_t place;    /* core 31:8, lane 7:0 */
} pto2_gate;

#define PTO2_GATE_FIELDS(F, T) F(T, position, 0) F(T, place, 4)
PTO2_ASSERT_LAYOUT(pto2_gate, PTO2_GATE_FIELDS, 8);

#define PTO2_MAX_GATES 5 /* so many fit the line */
#define PTO2_PLACE_CORE_SHIFT 8

/* One lane of a core: DATA_MAIN_BASE and what is said beside it, one cache line. All but
 * `skip` is stored before the word, which publishes it. */
typedef struct pto2_lane {
    uint32_t word;       /* (word) DATA_MAIN_BASE */
    uint32_t position;   /* (word) number of the dispatch, free-running; stored first of all
                            when the lane is used again: then the one before has its FIN */
    uint32_t block;      /* SPMD block index */
    uint32_t skip;       /* (word) 1 = say FIN without running the kernel: the task FAILED
                            or is CANCELLED; stored before the gates open */
    uint32_t gate_count; /* at most PTO2_MAX_GATES */
    uint32_t reserved;
    pto2_gate gates[PTO2_MAX_GATES];
} pto2_lane;

#define PTO2_LANE_FIELDS(F, T) \
    F(T, word, 0) F(T, position, 4) F(T, block, 8) F(T, skip, 12) F(T, gate_count, 16) \
    F(T, reserved, 20) F(T, gates, 24)
PTO2_ASSERT_LAYOUT(pto2_lane, PTO2_LANE_FIELDS, 64);

#define PTO2_WAITER_WORDS 4

/* What one core is told. Writer: scheduler. */
typedef struct pto2_dispatch_lanes {
    /* (word) bit per core: those that were ever given a gate on this one; stored before
       the word of the dispatch with the gate */
    uint32_t waiters[PTO2_WAITER_WORDS];
    /* (word) `position` of the dispatch with whose FIN the core wakes a sleeping
       scheduler; stored before the scheduler says that it sleeps */
    uint32_t wake_at;
    /* The lanes without FIN as a worker died: the oldest, and how many. Published by
       `fenced`. */
    uint32_t left_lane;
    uint32_t left_count;
    uint32_t reserved[9];
    pto2_lane lanes[PTO2_MAX_LANES];
} pto2_dispatch_lanes;

#define PTO2_DISPATCH_LANES_FIELDS(F, T) \
    F(T, waiters, 0) F(T, wake_at, 16) F(T, left_lane, 20) F(T, left_count, 24) \
    F(T, reserved, 28) F(T, lanes, 64)
PTO2_ASSERT_LAYOUT(pto2_dispatch_lanes, PTO2_DISPATCH_LANES_FIELDS, 64 + 64 * PTO2_MAX_LANES);

/* Written by a worker's signal handler when it crashes. */
typedef struct pto2_crash_record {
    uint32_t signal;  /* (word) released last; 0 = none */
    uint32_t code;    /* siginfo si_code */
    uint64_t address; /* siginfo si_addr */
    uint64_t offset;  /* of the address in the segment, or PTO2_CRASH_ELSEWHERE */
    uint32_t access;  /* PTO2_CRASH_... */
    uint32_t reserved;
    char text[96];    /* of a C++ exception: its type and what(), ends with 0 */
} pto2_crash_record;

#define PTO2_CRASH_RECORD_FIELDS(F, T) \
    F(T, signal, 0) F(T, code, 4) F(T, address, 8) F(T, offset, 16) F(T, access, 24) \
    F(T, reserved, 28) F(T, text, 32)
PTO2_ASSERT_LAYOUT(pto2_crash_record, PTO2_CRASH_RECORD_FIELDS, 128);

#define PTO2_CRASH_ELSEWHERE 0xFFFFFFFFFFFFFFFFull
#define PTO2_CRASH_ACCESS 0u /* what it was is not known */
#define PTO2_CRASH_LOAD 1u
#define PTO2_CRASH_STORE 2u
#define PTO2_CRASH_CALL 3u

/* Attempts of a task that may be run again. */
#define PTO2_MAX_KILLS 3   /* workers that died while running it, of anything */
#define PTO2_MAX_CRASHES 2 /* of these, by a signal it raised itself: poisoned */

/* What a worker counts on its core; plain stores before the FIN they belong to. */
typedef struct pto2_core_counters {
    uint64_t kernels;              /* that have returned */
    uint64_t timed_kernels;        /* of these, how many were timed */
    uint64_t timed_nanoseconds;    /* in those */
    uint64_t parks;                /* times it slept */
} pto2_core_counters;

#define PTO2_CORE_COUNTERS_FIELDS(F, T) \
    F(T, kernels, 0) F(T, timed_kernels, 8) F(T, timed_nanoseconds, 16) F(T, parks, 24)
PTO2_ASSERT_LAYOUT(pto2_core_counters, PTO2_CORE_COUNTERS_FIELDS, 32);

/* One page a core. Writer: the worker hosting that core. */
typedef struct pto2_core_page {
    uint32_t cond[PTO2_MAX_LANES]; /* (word) COND, one per lane */
    uint32_t parked; /* (word) PTO2_CORE_PARKED_...: what it sleeps on, 0 = awake */
    uint32_t cpu;    /* (word) 1 + the CPU of its last kernel, 0 = not known */
    uint32_t reserved[14];
    uint32_t ready; /* (word) incarnation once READY, 0 before */
    uint32_t reserved2[15];
    pto2_process_record process;
    uint32_t reserved3[8];
    pto2_error_block error;
    uint32_t reserved4[48];
    pto2_core_counters counters;
    uint32_t reserved5[56];
    pto2_crash_record crash; /* of the worker before, or of this one */
} pto2_core_page;

#define PTO2_CORE_PAGE_FIELDS(F, T) \
    F(T, cond, 0) F(T, parked, 256) F(T, cpu, 260) F(T, reserved, 264) F(T, ready, 320) \
    F(T, reserved2, 324) \
    F(T, process, 384) F(T, reserved3, 416) F(T, error, 448) F(T, reserved4, 1472) \
    F(T, counters, 1664) F(T, reserved5, 1696) F(T, crash, 1920)
PTO2_ASSERT_LAYOUT(pto2_core_page, PTO2_CORE_PAGE_FIELDS, 2048);

/* What a core's `parked` says. */
#define PTO2_CORE_PARKED_ON_LANE 0x00010000u /* | lane: DATA_MAIN_BASE of that lane */
#define PTO2_CORE_PARKED_ON_GATE 0x80000000u /* | place: COND of that core and lane */

#endif
