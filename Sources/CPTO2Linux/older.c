/* What static libraries ask of glibc 2.35, so that 2.34 is enough where this runs. Hidden:
 * each executable and library has its own. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <features.h>

#if defined __x86_64__ && __GLIBC_PREREQ(2, 35)
#include <dlfcn.h>
#include <link.h>
#include <math.h>
#include <stdint.h>

#define HIDDEN __attribute__((visibility("hidden")))

struct search {
    uintptr_t address;
    struct dl_find_object *result;
};

/* 1: the object has it, and can be unwound; -1: it cannot; 0: another one has it. */
static int look(struct dl_phdr_info *info, size_t size, void *context) {
    (void)size;
    const struct search *search = context;
    uintptr_t begin = UINTPTR_MAX, end = 0, frames = 0;
    int has_it = 0;
    for (int k = 0; k < info->dlpi_phnum; k++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[k];
        const uintptr_t first = info->dlpi_addr + header->p_vaddr;
        const uintptr_t last = first + header->p_memsz;
        if (header->p_type == PT_GNU_EH_FRAME) frames = first;
        if (header->p_type != PT_LOAD) continue;
        if (search->address >= first && search->address < last) has_it = 1;
        if (first < begin) begin = first;
        if (last > end) end = last;
    }
    if (!has_it) return 0;
    if (frames == 0) return -1;
    *search->result = (struct dl_find_object){
        .dlfo_map_start = (void *)begin, .dlfo_map_end = (void *)end,
        .dlfo_eh_frame = (void *)frames};
    return 1;
}

/* For the unwinder of libgcc. */
HIDDEN int _dl_find_object(void *address, struct dl_find_object *result) {
    struct search search = {(uintptr_t)address, result};
    return dl_iterate_phdr(look, &search) == 1 ? 0 : -1;
}

/* For Swift's library. The squares are exact. */
HIDDEN float hypotf(float x, float y) {
    if (isinf(x) || isinf(y)) return INFINITY;
    return (float)__builtin_sqrt((double)x * x + (double)y * y);
}
#endif
