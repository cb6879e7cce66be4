/* The kernel image of the fuzzers: nothing to call from outside. */
