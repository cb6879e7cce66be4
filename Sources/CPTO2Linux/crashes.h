#ifndef PTO2_CRASHES_H
#define PTO2_CRASHES_H

/* The calling thread is about to abort, of a C++ exception that nothing catches. */
void pto2_note_exception(const char *words);

#endif
