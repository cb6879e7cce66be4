/* How pto2-link reaches the other ranks: a table of functions that a shared object gives it.
 * Sources/Link/link_mpi.c is the one over MPI, built by mpicc; pto2-link itself knows nothing
 * of MPI, whose handles differ from library to library.
 *
 * One thread calls all of it. A result below 0 is an error; `error_text` has its words.
 * Sends and receives begin and are asked about later: nothing but `init` and `finalize`
 * waits. */
#ifndef PTO2_LINK_TABLE_H
#define PTO2_LINK_TABLE_H

#include <stddef.h>
#include <stdint.h>

#define PTO2_LINK_TABLE_VERSION 1u

/* What has been begun, as a number of the library's own; 0 = nothing. Given back by
 * `test_some` that finds it done; what is not done when all leave is left as it is. */
typedef uint64_t pto2_link_request;

/* A message that has come, and that nobody else gets any more. `handle` is for `receive`,
 * once. */
typedef struct pto2_link_message {
    int32_t source;
    int32_t tag;
    uint64_t bytes;
    uint64_t handle;
} pto2_link_message;

/* So many requests are asked about at once. */
#define PTO2_LINK_TEST_MOST 64u

typedef struct pto2_link_table {
    uint32_t version; /* PTO2_LINK_TABLE_VERSION */
    uint32_t reserved;
    /* Joins the other ranks; returns when all are there. Once in a process. */
    int32_t (*init)(void);
    /* Leaves them; returns when all do. */
    int32_t (*finalize)(void);
    /* Ends all ranks; does not return. */
    void (*abort)(int32_t status);
    int32_t (*rank)(void);
    int32_t (*size)(void);
    /* Tags are 0 to this. */
    int64_t (*tag_limit)(void);
    /* The bytes stay as they are until the request is done: with `synchronous`, when the
     * other rank has begun to receive them; else maybe earlier. */
    int32_t (*send)(const void *data, uint64_t bytes, int32_t peer, int32_t tag,
                    int32_t synchronous, pto2_link_request *request);
    /* 1 and the oldest message of anybody that has come, 0 when there is none. */
    int32_t (*probe)(pto2_link_message *message);
    /* Exactly the message's bytes. */
    int32_t (*receive)(void *data, const pto2_link_message *message, pto2_link_request *request);
    /* How many of so many requests are done; `done` gets their indices, ascending. Of an error
     * it gets the index of the request, or UINT32_MAX. */
    int32_t (*test_some)(const pto2_link_request *requests, uint32_t count, uint32_t *done);
    /* Text, ended by a zero byte. */
    void (*error_text)(int32_t error, char *text, size_t room);
    void (*library_version)(char *text, size_t room); /* one line */
    void (*host_name)(char *text, size_t room);
} pto2_link_table;

/* What the object exports, by this name and of this type. */
#define PTO2_LINK_TABLE_SYMBOL "pto2_link_table_v1"
typedef const pto2_link_table *(*pto2_link_table_function)(void);

/* Calls what dlsym(3) has found under it. */
static inline const pto2_link_table *pto2_call_link_table(const void *function) {
    return ((pto2_link_table_function)(uintptr_t)function)();
}

/* ---- what links tell each other ------------------------------------------------- */

/* Tags of messages: meetings, words between links, and from there on transfers. */
#define PTO2_LINK_TAG_MEETING 0
#define PTO2_LINK_TAG_WORD 1
#define PTO2_LINK_TAG_TRANSFER 2

#define PTO2_LINK_WORD_VERSION 1u
#define PTO2_LINK_WORD_HELLO 1u  /* text: the host's name */
#define PTO2_LINK_WORD_ASK 2u    /* are you there? With positions: what did you submit there? */
#define PTO2_LINK_WORD_TELL 3u   /* the answer, with the same positions and number */
#define PTO2_LINK_WORD_FOUND 4u  /* text: where two ranks' programs differ */
#define PTO2_LINK_WORD_LEAVE 5u  /* sends nothing after this */

#define PTO2_LINK_POSITIONS 16u
#define PTO2_LINK_TEXT_BYTES 480u

/* A submission, of an answer. */
typedef struct pto2_link_submission {
    uint64_t hash;
    uint16_t kernel_ids[3];
    uint8_t rank;
    uint8_t known; /* 0 = not submitted yet, or kept no more */
} pto2_link_submission;

/* A word of one link to another, whole. */
typedef struct pto2_link_word {
    uint32_t version;    /* PTO2_LINK_WORD_VERSION */
    uint32_t kind;       /* PTO2_LINK_WORD_... */
    uint32_t number;     /* of the question */
    uint32_t answered;   /* the last meeting that the sender knows to be over */
    uint32_t asked;      /* and the last one that its program has asked for */
    uint32_t submitted;  /* what its program has submitted so far */
    uint32_t ranks[2];   /* FOUND: whose programs differ */
    uint32_t oldest;     /* the first of it that is still known */
    uint32_t positions_count;
    uint32_t text_length;
    uint32_t reserved;
    uint64_t taken;       /* transfers of the receiver that the sender has taken so far */
    uint64_t taken_bytes; /* and their bytes */
    uint32_t positions[PTO2_LINK_POSITIONS];
    pto2_link_submission submissions[PTO2_LINK_POSITIONS]; /* TELL: what stands there */
    char text[PTO2_LINK_TEXT_BYTES];
} pto2_link_word;

#ifdef __cplusplus
#define PTO2_LINK_ASSERT static_assert
#else
#define PTO2_LINK_ASSERT _Static_assert
#endif
PTO2_LINK_ASSERT(sizeof(pto2_link_submission) == 16, "no padding");
PTO2_LINK_ASSERT(sizeof(pto2_link_word) == 64 + 20 * PTO2_LINK_POSITIONS + PTO2_LINK_TEXT_BYTES,
                 "no padding");

#endif
