// Does not compile.
extern "C" void kernel_entry(int64_t *args) { return args; }
