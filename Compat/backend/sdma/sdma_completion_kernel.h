/* Out of pto2's world: a task is done when its kernels have returned. */
#error "deferred completion and device DMA are not in pto2: docs/compat.md"
