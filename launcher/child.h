/*
 * The child's side of a create: from clone3 to the agent's exec. It runs in the new namespaces, as
 * the copy of a single-threaded process, and never returns.
 *
 * The parent sends two messages over `control`: first the mounts, with which the child builds its
 * root; then what belongs to one sandbox.
 */
#ifndef LAUNCHER_CHILD_H
#define LAUNCHER_CHILD_H

#include "launcher/cgroup.h"
#include "launcher/seccomp.h"

#include <stdbool.h>
#include <stdint.h>

struct child_plan {
    unsigned profile; /* enum launcher_profile */
    const struct seccomp_program *filter;
    uint64_t shm_bytes;
    uint32_t capabilities; /* what user code may have */
    bool read_only_root;
    int control; /* socket of the two messages; its end-of-file before the second ends the child */
    int status;  /* pipe: struct child_failure; its end-of-file means success */
    int agent;
    int archive; /* -1: the agent gets none */
};

/*
 * What the parent makes for the child. The overlay's layers are handed over only to be rid of them
 * (it holds its own): the child's pivot detaches them with the old root, where the launcher would
 * wait for a grace period of the kernel's for each. Layers that were named by path are gone
 * already; then there are only the first CHILD_MOUNTS_MIN.
 */
enum {
    CHILD_MOUNT_ROOT,
    CHILD_MOUNT_DEV,
    CHILD_MOUNTS_MIN,
    CHILD_MOUNT_LOWER = CHILD_MOUNTS_MIN,
    CHILD_MOUNT_UPPER,
    CHILD_MOUNTS
};

/* What belongs to one sandbox. */
struct child_parts {
    int listen;
    int logs;                /* -1: the agent gets none */
    struct cgroup_join join; /* into_fd is not sent: such a child is in its group from its clone */
};

/* Parent's side. -1 and errno; EPIPE or ECONNRESET from a child that is gone. `count` is
 * CHILD_MOUNTS_MIN or CHILD_MOUNTS. */
int child_send_mounts(int control, const int *mounts, uint32_t count);
int child_send_parts(int control, const struct child_parts *parts);

_Noreturn void child_run(const struct child_plan *plan);

#endif
