/* An image of as many kernels as TEST_KERNEL_COUNT says: k0, k1, ... and then
 * one of TEST_KERNEL_NAME_BYTES bytes. For the limits on images. TEST_KERNEL_TABLE says what
 * of the table is spoilt. */
#include "pto2_kernel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 5000 };
static char names[MOST][64];
static pto2_kernel_entry entries[MOST];

/* Element 0 of tensor 0 becomes scalar 0. */
static void odd(const pto2_kernel_args *args) {
    *(int64_t *)args->data[0] = (int64_t)args->scalar[0];
}

PTO2_EXPORT pto2_kernel_table pto2_kernel_table_v2 = PTO2_KERNEL_TABLE(0, entries);

static unsigned long setting(const char *name, unsigned long fallback) {
    const char *text = getenv(name);
    return text ? strtoul(text, NULL, 10) : fallback;
}

/* As a program: its main function is none. */
PTO2_EXPORT int pto2_program_main_v2 = 7;

static void spoil(const char *what) {
    if (!strcmp(what, "magic")) pto2_kernel_table_v2.magic = 7;
    /* As the first images knew them, and as a later one may. */
    if (!strcmp(what, "old-args")) pto2_kernel_table_v2.args_bytes = 48;
    if (!strcmp(what, "new-args")) pto2_kernel_table_v2.args_bytes = 80;
    if (!strcmp(what, "entries")) pto2_kernel_table_v2.entries = (void *)16;
    if (!strcmp(what, "name")) entries[0].name = (const char *)16;
    if (!strcmp(what, "function")) memcpy(&entries[0].function, &(void *){names}, sizeof(void *));
}

__attribute__((constructor)) static void fill(void) {
    const unsigned long count = setting("TEST_KERNEL_COUNT", 1);
    const unsigned long bytes = setting("TEST_KERNEL_NAME_BYTES", 2);
    for (unsigned long k = 0; k < count && k < MOST; k++) {
        snprintf(names[k], sizeof names[k], "k%lu", k);
        entries[k] = (pto2_kernel_entry){names[k], odd, PTO2_AIV};
    }
    if (bytes > 2) {
        memset(names[count - 1], 'n', bytes);
        names[count - 1][bytes] = 0;
    }
    pto2_kernel_table_v2.count = (uint32_t)count;
    if (getenv("TEST_KERNEL_TABLE")) spoil(getenv("TEST_KERNEL_TABLE"));
}
