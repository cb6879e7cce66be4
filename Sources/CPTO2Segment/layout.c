/* The field lists of pto2_segment.h as a table, and their hash. */
#include "pto2_segment.h"

#define ROW(T, field, at) {#T, #field, (at), sizeof(((T *)0)->field), sizeof(T)},
#define ROWS(T, FIELDS) FIELDS(ROW, T)

static const pto2_layout_field fields[] = {PTO2_RECORDS(ROWS)};

/* Sentinels are told apart from every dispatch word and from each other. */
_Static_assert(((PTO2_WORD_OFFSET_MAX + 1u) << 2 | PTO2_WORD_TOGGLE) == PTO2_EXIT_SIGNAL,
               "the first unsafe offset field is EXIT_SIGNAL");
_Static_assert((PTO2_WORD_TOGGLE | PTO2_WORD_OFFSET_MAX << 2 | PTO2_WORD_SLOT_MASK)
               < PTO2_EXIT_SIGNAL, "no dispatch word reaches a sentinel");
_Static_assert(PTO2_DEP_POOL_MAX <= PTO2_EDGE_INDEX_MASK, "NONE and CLOSED are no edges");
_Static_assert(PTO2_MAX_LOST >= PTO2_SLOTS, "room for the block that was being dispatched");
_Static_assert(PTO2_MAX_CORES <= 32 * PTO2_WAITER_WORDS, "a bit per core");
_Static_assert(PTO2_MAX_LANES <= 1 << PTO2_PLACE_CORE_SHIFT, "a place says every lane");
_Static_assert(sizeof(pto2_header) <= 4096, "the header is one page");
_Static_assert(offsetof(pto2_consumed_entry, fanout_count) % 8 == 0,
               "count and refcount are one 64-bit word");

const pto2_layout_field *pto2_layout_fields(uint32_t *count) {
    *count = sizeof fields / sizeof fields[0];
    return fields;
}

static uint64_t add_bytes(uint64_t hash, const void *bytes, size_t count) {
    const unsigned char *byte = bytes;
    for (size_t i = 0; i < count; i++) hash = (hash ^ byte[i]) * 0x100000001B3ull;
    return hash;
}

static uint64_t add_text(uint64_t hash, const char *text) {
    size_t length = 0;
    while (text[length]) length++;
    return add_bytes(hash, text, length + 1);
}

uint64_t pto2_layout_hash(void) {
    static const uint32_t limits[] = {
        PTO2_SECTION_KINDS, PTO2_MAX_TENSORS, PTO2_MAX_SCALARS, PTO2_MAX_LANES, PTO2_INLINE_ARGS,
        PTO2_PAYLOAD_BYTES_PER_SLOT, PTO2_PAYLOAD_BYTES_LEAST,
    };
    uint64_t hash = add_bytes(0xCBF29CE484222325ull, limits, sizeof limits);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        hash = add_text(hash, fields[i].record);
        hash = add_text(hash, fields[i].name);
        hash = add_bytes(hash, &fields[i].offset, sizeof fields[i].offset);
        hash = add_bytes(hash, &fields[i].bytes, sizeof fields[i].bytes);
        hash = add_bytes(hash, &fields[i].record_bytes, sizeof fields[i].record_bytes);
    }
    return hash;
}
