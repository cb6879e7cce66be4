/* The words that scheduler and cores exchange, and the states of a task: part of
 * pto2_segment.h, whose rules hold here. */
#ifndef PTO2_WORDS_H
#define PTO2_WORDS_H

#include "pto2.h"

/* ---- limits of the segment ---------------------------------------------- */

#define PTO2_MAX_SECTIONS 96
#define PTO2_MAX_CORES (PTO2_MAX_CLUSTERS * PTO2_CORES_PER_CLUSTER)

/* ---- DATA_MAIN_BASE word: scheduler to core ------------------------------
 *  31 | 30     | 29 .................. 2 | 1 0
 *  0  | toggle | offset field (28 bits)  | slot
 * offset field = (descriptor byte offset from dispatch_base >> 3) + 1; 0 = idle.
 */
#define PTO2_WORD_TOGGLE 0x40000000u
#define PTO2_WORD_OFFSET_SHIFT 2
#define PTO2_WORD_OFFSET_MASK 0x0FFFFFFFu
#define PTO2_WORD_SLOT_MASK 0x3u
#define PTO2_WORD_OFFSET_MAX 0x0FFFFFFBu /* 0x0FFFFFFC, toggle, slot 0 is EXIT */

/* ---- COND word: core to scheduler ----------------------------------------
 * bit 31: 0 = ACK, 1 = FIN; bits 30:0 echo the DATA_MAIN_BASE word.
 */
#define PTO2_COND_FIN 0x80000000u

#define PTO2_EXIT_SIGNAL 0x7FFFFFF0u    /* DATA_MAIN_BASE: leave */
#define PTO2_SCHEDULER_IDLE 0x7FFFFFFDu /* DATA_MAIN_BASE: never dispatched */
#define PTO2_EXITED 0x7FFFFFFEu         /* COND: the core has left */
#define PTO2_CORE_IDLE 0x7FFFFFFFu      /* COND: never dispatched */

/* ---- task states -------------------------------------------------------- */

#define PTO2_TASK_PENDING 0
#define PTO2_TASK_READY 1
#define PTO2_TASK_RUNNING 2
#define PTO2_TASK_COMPLETED 3
#define PTO2_TASK_RELEASED 4
#define PTO2_TASK_CONSUMED 5

#define PTO2_OUTCOME_CANCELLED 0x80000000u /* a producer FAILED or was CANCELLED */

#endif
