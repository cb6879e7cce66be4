/* C++ exceptions that leave a kernel, in words. An image in C++ brings a C++ library of its
 * own, which calls its own terminate handler: ours notes type and what(), then lets the
 * library's go on, which says the same on standard error and aborts. */
#include "crashes.h"
#include "pto2_linux.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Itanium C++ ABI: an object whose class has virtual functions begins with their table. */
struct type {
    void *const *table;
    const char *name;
};
/* std::exception: two destructors, then what(). */
typedef const char *(*what_function)(const void *object);
enum { WHAT = 2 };
/* std::type_info of libstdc++: two destructors, two questions, then this one. */
typedef char (*catch_function)(const struct type *self, const struct type *thrown, void **object,
                               unsigned outer);
enum { CATCH = 4 };
/* libstdc++ on 64 bits: the object lies behind its header, which ends with the unwinder's. */
enum { HEADER_BYTES = 112, CLASS_AT = 80 };
static const uint64_t primary_class = 0x474E5543432B2B00ull; /* "GNUCC++\0" */

static struct {
    const struct type *(*current)(void);
    char *(*demangle)(const char *, char *, size_t *, int *);
    void *const *(*globals)(void); /* the first is the exception that was caught last */
    const struct type *standard;   /* typeid(std::exception); NULL: not libstdc++ */
    void (*before)(void);
} library;

static const char *text_of(const struct type *thrown) {
    const uint8_t *header;
    if (!library.globals || !library.standard || sizeof(void *) != 8) return NULL;
    header = *library.globals();
    uint64_t class;
    if (!header) return NULL;
    memcpy(&class, header + CLASS_AT, sizeof class);
    void *object = (void *)(header + HEADER_BYTES);
    if (class != primary_class) return NULL;
    const catch_function is_caught = (catch_function)library.standard->table[CATCH];
    if (!is_caught(library.standard, thrown, &object, 1)) return NULL;
    return ((what_function)(*(void *const *const *)object)[WHAT])(object);
}

static void on_terminate(void) {
    const struct type *thrown = library.current();
    if (thrown) {
        int status = -1;
        const char *name = thrown->name + (*thrown->name == '*');
        char *plain = library.demangle ? library.demangle(name, NULL, NULL, &status) : NULL;
        const char *text = text_of(thrown);
        char words[sizeof((pto2_crash *)NULL)->text];
        snprintf(words, sizeof words, "%s%s%s", plain ? plain : name, text ? ": " : "",
                 text ? text : "");
        free(plain);
        pto2_note_exception(words);
    }
    if (library.before) library.before();
    abort();
}

static void *find(void *image, const char *name) { return dlsym(image, name); }

void pto2_record_exceptions(void *image) {
    void (*(*set)(void (*)(void)))(void) =
        (void (*(*)(void (*)(void)))(void))find(image, "_ZSt13set_terminatePFvvE");
    void *current = find(image, "__cxa_current_exception_type");
    if (library.current || !set || !current) return;
    library.current = (const struct type *(*)(void))current;
    library.demangle =
        (char *(*)(const char *, char *, size_t *, int *))find(image, "__cxa_demangle");
    if (find(image, "_ZN9__gnu_cxx27__verbose_terminate_handlerEv")) {
        library.globals = (void *const *(*)(void))find(image, "__cxa_get_globals");
        library.standard = find(image, "_ZTISt9exception");
    }
    library.before = set(on_terminate);
}
