/* A /dev/shm that can be filled without anybody else's noticing. Each returns its
 * result, or the negated errno. */
#ifndef PTO2_PRIVATE_SHM_H
#define PTO2_PRIVATE_SHM_H

#include <stdint.h>

/* Gives the calling thread, and the processes and threads it starts from now on, a
 * /dev/shm of their own: a tmpfs of so many bytes in a mount namespace, without
 * CAP_SYS_ADMIN in a user namespace too (then the process may have one thread
 * only). It goes with the last of them. */
int pto2_enter_private_shm(uint64_t bytes);

/* Takes what is free in /dev/shm but `leave` bytes, until the descriptor that it
 * returns is closed. */
int pto2_fill_shm(uint64_t leave);

#endif
