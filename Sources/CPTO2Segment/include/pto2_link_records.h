/* What a session that is one rank of several has beside: part of pto2_segment.h, whose rules
 * hold here. Three roles meet in it: the scheduler starts transfers, the link carries them out
 * and says that they are over, and the orchestrator asks the link to meet the other ranks.
 *
 * A transfer is a task without kernels, of which PTO2_SLOT_TRANSFER is set. Its payload has
 * one tensor, what is sent or received (none: nothing is, the message alone counts), and three
 * scalars: PTO2_TRANSFER_SEND or RECEIVE 31:0 and the other rank 63:32; the number of the
 * transfer among those from the one rank to the other, from 0 on; the bytes. */
#ifndef PTO2_LINK_RECORDS_H
#define PTO2_LINK_RECORDS_H

#include "pto2_pages.h"

#define PTO2_MAX_RANKS 256

#define PTO2_TRANSFER_SEND 1u
#define PTO2_TRANSFER_RECEIVE 2u
#define PTO2_TRANSFER_SCALARS 3

/* A transfer whose fanin is complete. Writer: scheduler; published by `transfers_started` of
 * its page. The ring has a place for every task that can be between submit and RELEASED, so
 * that it never fills. */
typedef struct pto2_transfer_start {
    uint64_t task_id;
    uint32_t outcome; /* 0, or CANCELLED: there is nothing to send, and that is what is sent */
    uint32_t reserved;
} pto2_transfer_start;

#define PTO2_TRANSFER_START_FIELDS(F, T) \
    F(T, task_id, 0) F(T, outcome, 8) F(T, reserved, 12)
PTO2_ASSERT_LAYOUT(pto2_transfer_start, PTO2_TRANSFER_START_FIELDS, 16);

/* A transfer that is over, in a ring of the same size. Writer: link; published by `ended`. */
typedef struct pto2_transfer_end {
    uint64_t task_id;
    uint32_t outcome; /* 0, or CANCELLED: the other rank had nothing to send */
    uint32_t reserved;
} pto2_transfer_end;

#define PTO2_TRANSFER_END_FIELDS(F, T) \
    F(T, task_id, 0) F(T, outcome, 8) F(T, reserved, 12)
PTO2_ASSERT_LAYOUT(pto2_transfer_end, PTO2_TRANSFER_END_FIELDS, 16);

/* What a rank says of itself when all meet: at the start of a session, and at the end of each
 * run. The same record goes over the wire. */
#define PTO2_MEETING_TEXT_BYTES 960
typedef struct pto2_meeting {
    uint32_t number;      /* of the meeting, from 1 on */
    uint32_t code;        /* PTO2_ERROR_... with which its run ends; 0 = well */
    uint64_t submissions; /* tasks of the program so far, on whichever rank they run */
    uint64_t hash;        /* of these; at the start, of what must be equal on all ranks */
    uint32_t is_echo;     /* 1 = `code` came from another rank */
    uint32_t text_length;
    uint64_t tasks; /* of the program, of the run, that ran on this rank */
    uint64_t transfers; /* that it has sent, in the session */
    uint64_t sent_bytes;
    uint64_t received_bytes;
    char text[PTO2_MEETING_TEXT_BYTES]; /* UTF-8, text_length bytes */
} pto2_meeting;

#define PTO2_MEETING_FIELDS(F, T) \
    F(T, number, 0) F(T, code, 4) F(T, submissions, 8) F(T, hash, 16) F(T, is_echo, 24) \
    F(T, text_length, 28) F(T, tasks, 32) F(T, transfers, 40) F(T, sent_bytes, 48) \
    F(T, received_bytes, 56) F(T, text, 64)
PTO2_ASSERT_LAYOUT(pto2_meeting, PTO2_MEETING_FIELDS, 1024);

/* One task that the program has submitted, wherever it runs. */
typedef struct pto2_submitted_task {
    uint64_t hash;          /* of it and all before it */
    uint16_t kernel_ids[3]; /* 0xFFFF = no kernel there */
    uint8_t rank;           /* where it runs */
    uint8_t tensors;
} pto2_submitted_task;

#define PTO2_SUBMITTED_TASK_FIELDS(F, T) \
    F(T, hash, 0) F(T, kernel_ids, 8) F(T, rank, 14) F(T, tensors, 15)
PTO2_ASSERT_LAYOUT(pto2_submitted_task, PTO2_SUBMITTED_TASK_FIELDS, 16);

#define PTO2_SUBMISSIONS_KEPT 65536u /* the latest; a power of two */

/* What the orchestrator tells the link. */
typedef struct pto2_rank_page {
    uint32_t asked; /* (word) number of the last meeting; release: `meeting` */
    uint32_t reserved[15];
    uint64_t submitted; /* (word) submissions of the run; release: their records */
    uint64_t reserved2[7];
    pto2_meeting meeting;
} pto2_rank_page;

#define PTO2_RANK_PAGE_FIELDS(F, T) \
    F(T, asked, 0) F(T, reserved, 4) F(T, submitted, 64) F(T, reserved2, 72) F(T, meeting, 128)
PTO2_ASSERT_LAYOUT(pto2_rank_page, PTO2_RANK_PAGE_FIELDS, 1152);

/* Traffic with one other rank, since the session began. Plain stores; for reports. */
typedef struct pto2_link_traffic {
    uint64_t sent_bytes;
    uint64_t received_bytes;
    uint64_t sent;     /* transfers */
    uint64_t received;
} pto2_link_traffic;

#define PTO2_LINK_TRAFFIC_FIELDS(F, T) \
    F(T, sent_bytes, 0) F(T, received_bytes, 8) F(T, sent, 16) F(T, received, 24)
PTO2_ASSERT_LAYOUT(pto2_link_traffic, PTO2_LINK_TRAFFIC_FIELDS, 32);

/* The link's words, one section. */
typedef struct pto2_link_page {
    uint32_t ended; /* (word) transfers that are over; release: their records */
    uint32_t taken; /* (word) starts that were read; for tools */
    uint32_t reserved[14];
    uint32_t parked; /* (word) 1 = sleeps on `transfers_started` and `asked` */
    uint32_t reserved2[15];
    uint32_t control;  /* (word) PTO2_LINK_...; FATAL: see `error` */
    uint32_t answered; /* (word) last meeting that all ranks came to; release: `met` */
    uint32_t reserved3[14];
    pto2_process_record process;
    uint32_t reserved4[8];
    pto2_error_block error;
    uint32_t error_is_echo; /* 1 = another rank has failed, and says so itself */
    uint32_t reserved5[63];
    pto2_link_traffic traffic[PTO2_MAX_RANKS];
    pto2_meeting met[PTO2_MAX_RANKS]; /* what each rank said in meeting `answered` */
} pto2_link_page;

#define PTO2_LINK_PAGE_FIELDS(F, T) \
    F(T, ended, 0) F(T, taken, 4) F(T, reserved, 8) F(T, parked, 64) F(T, reserved2, 68) \
    F(T, control, 128) F(T, answered, 132) F(T, reserved3, 136) F(T, process, 192) \
    F(T, reserved4, 224) F(T, error, 256) F(T, error_is_echo, 1280) F(T, reserved5, 1284) \
    F(T, traffic, 1536) F(T, met, 9728)
PTO2_ASSERT_LAYOUT(pto2_link_page, PTO2_LINK_PAGE_FIELDS, 9728 + 1024 * PTO2_MAX_RANKS);

/* The link's `control`. */
#define PTO2_LINK_ABSENT 0u
#define PTO2_LINK_READY 1u   /* knows its rank, and all ranks are there */
#define PTO2_LINK_FATAL 2u
#define PTO2_LINK_STOPPED 3u /* has left MPI */

#endif
