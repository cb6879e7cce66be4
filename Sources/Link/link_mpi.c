/* The table of pto2_link_table.h over MPI: `make link` has mpicc build libpto2-link-mpi.so of
 * it. Two-sided messages of MPI 3.0 alone, and one thread. */
#include <mpi.h>

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "pto2_link_table.h"

/* All messages are of this one: its errors are returned, and nobody else's come between. */
static MPI_Comm ranks = MPI_COMM_NULL;

_Static_assert(sizeof(MPI_Request) <= sizeof(uint64_t), "a request fits its number");
_Static_assert(sizeof(MPI_Message) <= sizeof(uint64_t), "so does a message");

static int32_t failed(int code) { return code == MPI_SUCCESS ? 0 : -code; }

static uint64_t number_of_request(MPI_Request request) {
    uint64_t number = 0;
    memcpy(&number, &request, sizeof request);
    return number;
}

static MPI_Request request_of_number(uint64_t number) {
    MPI_Request request;
    memcpy(&request, &number, sizeof request);
    return request;
}

/* ---- joining and leaving ---------------------------------------------------------- */

static int32_t join(void) {
    int provided, code = MPI_Init_thread(NULL, NULL, MPI_THREAD_SINGLE, &provided);
    if (code == MPI_SUCCESS) code = MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    if (code == MPI_SUCCESS) code = MPI_Comm_dup(MPI_COMM_WORLD, &ranks);
    if (code == MPI_SUCCESS) code = MPI_Comm_set_errhandler(ranks, MPI_ERRORS_RETURN);
    if (code == MPI_SUCCESS) code = MPI_Barrier(ranks);
    return failed(code);
}

static int32_t leave(void) { return failed(MPI_Finalize()); }

static void end_all(int32_t status) { MPI_Abort(MPI_COMM_WORLD, status); }

static int32_t own_rank(void) {
    int rank, code = MPI_Comm_rank(ranks, &rank);
    return code == MPI_SUCCESS ? rank : failed(code);
}

static int32_t rank_count(void) {
    int count, code = MPI_Comm_size(ranks, &count);
    return code == MPI_SUCCESS ? count : failed(code);
}

static int64_t largest_tag(void) {
    int *limit, is_set = 0;
    if (MPI_Comm_get_attr(ranks, MPI_TAG_UB, &limit, &is_set) != MPI_SUCCESS || !is_set)
        return 32767; /* what the standard promises */
    return *limit;
}

/* ---- messages ----------------------------------------------------------------------- */

/* MPI counts with an int: a longer message is one element of a type of its own, of whole
 * blocks and a rest. The other side sees the same bytes. */
#define BLOCK ((uint64_t)1 << 30)

static int type_of_bytes(uint64_t bytes, int *count, MPI_Datatype *type) {
    if (bytes <= INT_MAX) {
        *count = (int)bytes;
        *type = MPI_BYTE;
        return MPI_SUCCESS;
    }
    MPI_Datatype block;
    int code = MPI_Type_contiguous((int)BLOCK, MPI_BYTE, &block);
    if (code != MPI_SUCCESS) return code;
    int lengths[2] = {(int)(bytes / BLOCK), (int)(bytes % BLOCK)};
    MPI_Aint places[2] = {0, (MPI_Aint)(bytes / BLOCK * BLOCK)};
    MPI_Datatype types[2] = {block, MPI_BYTE};
    code = MPI_Type_create_struct(2, lengths, places, types, type);
    MPI_Type_free(&block);
    if (code == MPI_SUCCESS) code = MPI_Type_commit(type);
    *count = 1;
    return code;
}

static int32_t begin_send(const void *data, uint64_t bytes, int32_t peer, int32_t tag,
                          int32_t synchronous, pto2_link_request *number) {
    int count;
    MPI_Datatype type;
    MPI_Request request = MPI_REQUEST_NULL;
    int code = type_of_bytes(bytes, &count, &type);
    if (code != MPI_SUCCESS) return failed(code);
    code = synchronous ? MPI_Issend(data, count, type, peer, tag, ranks, &request)
                       : MPI_Isend(data, count, type, peer, tag, ranks, &request);
    if (type != MPI_BYTE) MPI_Type_free(&type);
    *number = number_of_request(request);
    return failed(code);
}

static int32_t look(pto2_link_message *message) {
    int is_there = 0;
    MPI_Message handle;
    MPI_Status status;
    MPI_Count bytes;
    int code = MPI_Improbe(MPI_ANY_SOURCE, MPI_ANY_TAG, ranks, &is_there, &handle, &status);
    if (code != MPI_SUCCESS) return failed(code);
    if (!is_there) return 0;
    code = MPI_Get_elements_x(&status, MPI_BYTE, &bytes);
    if (code != MPI_SUCCESS) return failed(code);
    message->source = status.MPI_SOURCE;
    message->tag = status.MPI_TAG;
    message->bytes = (uint64_t)bytes;
    message->handle = 0;
    memcpy(&message->handle, &handle, sizeof handle);
    return 1;
}

static int32_t begin_receive(void *data, const pto2_link_message *message,
                             pto2_link_request *number) {
    int count;
    MPI_Datatype type;
    MPI_Message handle;
    MPI_Request request = MPI_REQUEST_NULL;
    memcpy(&handle, &message->handle, sizeof handle);
    int code = type_of_bytes(message->bytes, &count, &type);
    if (code != MPI_SUCCESS) return failed(code);
    code = MPI_Imrecv(data, count, type, &handle, &request);
    if (type != MPI_BYTE) MPI_Type_free(&type);
    *number = number_of_request(request);
    return failed(code);
}

static int32_t test_some(const pto2_link_request *numbers, uint32_t count, uint32_t *done) {
    MPI_Request requests[PTO2_LINK_TEST_MOST];
    MPI_Status statuses[PTO2_LINK_TEST_MOST];
    int indices[PTO2_LINK_TEST_MOST], finished = 0;
    if (count == 0) return 0;
    if (count > PTO2_LINK_TEST_MOST) count = PTO2_LINK_TEST_MOST;
    for (uint32_t i = 0; i < count; i++) requests[i] = request_of_number(numbers[i]);
    int code = MPI_Testsome((int)count, requests, &finished, indices, statuses);
    done[0] = UINT32_MAX;
    if (code == MPI_ERR_IN_STATUS)
        for (int i = 0; i < finished; i++)
            if (statuses[i].MPI_ERROR != MPI_SUCCESS) {
                done[0] = (uint32_t)indices[i];
                return failed(statuses[i].MPI_ERROR);
            }
    if (code != MPI_SUCCESS) return failed(code);
    if (finished == MPI_UNDEFINED) return 0;
    /* MPI promises no order. */
    char is_done[PTO2_LINK_TEST_MOST] = {0};
    for (int i = 0; i < finished; i++) is_done[indices[i]] = 1;
    int32_t found = 0;
    for (uint32_t i = 0; i < count; i++)
        if (is_done[i]) done[found++] = i;
    return found;
}

/* ---- texts -------------------------------------------------------------------------- */

static void error_text(int32_t error, char *text, size_t room) {
    char words[MPI_MAX_ERROR_STRING] = "";
    int length = 0;
    if (MPI_Error_string(-error, words, &length) != MPI_SUCCESS)
        snprintf(text, room, "MPI error %d", -error);
    else
        snprintf(text, room, "%.*s", length, words);
}

static void library_version(char *text, size_t room) {
    char words[MPI_MAX_LIBRARY_VERSION_STRING] = "";
    int length = 0;
    MPI_Get_library_version(words, &length);
    words[strcspn(words, ",\n")] = 0;
    snprintf(text, room, "%s", words);
}

static void host_name(char *text, size_t room) {
    char words[MPI_MAX_PROCESSOR_NAME] = "";
    int length = 0;
    if (MPI_Get_processor_name(words, &length) != MPI_SUCCESS) words[0] = 0;
    snprintf(text, room, "%s", words);
}

__attribute__((visibility("default"))) const pto2_link_table *pto2_link_table_v1(void);

const pto2_link_table *pto2_link_table_v1(void) {
    static const pto2_link_table table = {
        .version = PTO2_LINK_TABLE_VERSION,
        .init = join,
        .finalize = leave,
        .abort = end_all,
        .rank = own_rank,
        .size = rank_count,
        .tag_limit = largest_tag,
        .send = begin_send,
        .probe = look,
        .receive = begin_receive,
        .test_some = test_some,
        .error_text = error_text,
        .library_version = library_version,
        .host_name = host_name,
    };
    return &table;
}
