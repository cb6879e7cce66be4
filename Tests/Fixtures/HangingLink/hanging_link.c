/* A library for pto2-link that finds two ranks, fails at the first message, and never comes
 * back from its abort. AbortTests builds it. */
#include "pto2_link_table.h"
#include <stdio.h>
#include <unistd.h>
static int32_t none(void) { return 0; }
static int32_t two(void) { return 2; }
static int64_t tags(void) { return 1 << 20; }
static void hang(int32_t status) { for (;;) pause(); }
static int32_t send(const void *data, uint64_t bytes, int32_t peer, int32_t tag,
                    int32_t synchronous, pto2_link_request *request) { return -7; }
static int32_t probe(pto2_link_message *message) { return -7; }
static int32_t receive(void *data, const pto2_link_message *message,
                       pto2_link_request *request) { return -7; }
static int32_t test(const pto2_link_request *requests, uint32_t count, uint32_t *done) {
    return 0;
}
static void failed(int32_t error, char *text, size_t room) {
    snprintf(text, room, "failed with %d", error);
}
static void words(char *text, size_t room) { snprintf(text, room, "a test"); }
static const pto2_link_table table = {PTO2_LINK_TABLE_VERSION, 0, none, none, hang, none, two,
    tags, send, probe, receive, test, failed, words, words};
const pto2_link_table *pto2_link_table_v1(void) { return &table; }
