/* Out of pto2's world: a task is done when its kernels have returned. */
#error "communication between devices is not in pto2: docs/compat.md"
