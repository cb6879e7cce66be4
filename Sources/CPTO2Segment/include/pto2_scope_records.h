/* Names that a program has given scopes and tasks, and what the scopes have taken of their
 * rings: part of pto2_segment.h, whose rules hold here. For tools: no other role reads them. */
#ifndef PTO2_SCOPE_RECORDS_H
#define PTO2_SCOPE_RECORDS_H

#include "pto2_pages.h"

/* A name of scopes, or of tasks in the scopes of one name; the first in the table has number
 * 1. Writer: orchestrator; published by `scope_names`, and never changed. */
#define PTO2_SCOPE_NAME_BYTES 60
#define PTO2_NAME_OF_SCOPES 0xFFFFu
typedef struct pto2_scope_name {
    uint16_t length; /* bytes of name */
    uint16_t scope;  /* PTO2_NAME_OF_SCOPES; of tasks the number of their scope's name, or 0 */
    char name[PTO2_SCOPE_NAME_BYTES]; /* UTF-8 */
} pto2_scope_name;

#define PTO2_SCOPE_NAME_FIELDS(F, T) F(T, length, 0) F(T, scope, 2) F(T, name, 4)
PTO2_ASSERT_LAYOUT(pto2_scope_name, PTO2_SCOPE_NAME_FIELDS, 64);

/* What scopes of one name that have ended took of one ring: all that was given out of it
 * between begin and end. Of the buckets, number 0 counts scopes that took nothing, number n
 * those that took at least 2^(n-1) and less than 2^n; the last one counts all that is more.
 * Writer: orchestrator, as a scope ends; `name` and `ring` are published by `scope_uses`. */
#define PTO2_MAX_SCOPE_USES 256
#define PTO2_SCOPE_BUCKETS 32
#define PTO2_SCOPE_HEAP_UNIT 64 /* bytes of heap that the buckets count as one */
typedef struct pto2_scope_use {
    uint32_t name;
    uint32_t ring;
    uint64_t scopes;
    uint64_t peak_heap_bytes; /* of one scope */
    uint32_t peak_tasks;
    uint32_t peak_dep_pool;
    uint32_t tasks[PTO2_SCOPE_BUCKETS];
    uint32_t dep_pool[PTO2_SCOPE_BUCKETS];
    uint32_t heap[PTO2_SCOPE_BUCKETS];
} pto2_scope_use;

#define PTO2_SCOPE_USE_FIELDS(F, T) \
    F(T, name, 0) F(T, ring, 4) F(T, scopes, 8) F(T, peak_heap_bytes, 16) \
    F(T, peak_tasks, 24) F(T, peak_dep_pool, 28) F(T, tasks, 32) F(T, dep_pool, 160) \
    F(T, heap, 288)
PTO2_ASSERT_LAYOUT(pto2_scope_use, PTO2_SCOPE_USE_FIELDS, 416);

#endif
