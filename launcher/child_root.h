/*
 * The child's file system: puts the mounts it was handed together and makes them its root.
 * Failures are (step, errno): *ret_step is set and -1 returned.
 */
#ifndef LAUNCHER_CHILD_ROOT_H
#define LAUNCHER_CHILD_ROOT_H

#include <stdbool.h>
#include <stdint.h>

/* `mounts` are the detached mounts of child.h, by their CHILD_MOUNT_ numbers; absent ones are -1.
 * `shm_bytes` bounds each file system in memory. Afterwards "/" is the sandbox's and nothing else
 * is left. */
int child_root_enter(const int *mounts, uint64_t shm_bytes, bool read_only, uint32_t *ret_step);

#endif
