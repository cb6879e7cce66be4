/* What the fuzzers use of libFuzzer and AddressSanitizer. */
#ifndef PTO2_FUZZER_H
#define PTO2_FUZZER_H

#include <stddef.h>
#include <stdint.h>

typedef int (*fuzz_target)(const uint8_t *data, size_t size);

/* Runs libFuzzer's main loop on a target; does not return. */
int LLVMFuzzerRunDriver(int *argc, char ***argv, fuzz_target target);

/* Every access to the range is an error from now on; whole 8-byte words. */
void __asan_poison_memory_region(void const volatile *address, size_t bytes);
void __asan_unpoison_memory_region(void const volatile *address, size_t bytes);

/* CPU time of this thread. */
uint64_t fuzz_thread_nanoseconds(void);

#endif
