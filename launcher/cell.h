/*
 * A cell: a child in namespaces of its own, with a block of uids and a root, that waits for what
 * belongs to one sandbox. It has no name: no folder, no cgroup, no entry. With the launcher's end
 * its control socket ends, and it with that.
 *
 * Failures are (step, errno): *ret_step is set and -1 returned.
 */
#ifndef LAUNCHER_CELL_H
#define LAUNCHER_CELL_H

#include "launcher/launcher.h"

struct cell {
    uint32_t slot; /* SANDBOX_NO_SLOT: none, or handed on */
    uid_t uid;     /* the first of the slot */
    pid_t pid;     /* 0: no child has been started */
    int pidfd;     /* -1: not open, or handed on; so for the others */
    int status;    /* the child's report */
    int control;
    uint64_t start_ticks; /* of the child: state_file.h */
};

/* No slot, no child. */
void cell_init(struct cell *cell);

/* Closes what was not handed on and frees a slot that was not. The child must be gone then. */
void cell_release(struct launcher *launcher, struct cell *cell);

/* -1 and EAGAIN when every block of uids is in use. */
int cell_take_slot(struct launcher *launcher, struct cell *cell);

/* Starts the child, `into_fd` (or -1) being its group of v2. On failure there is no child. */
int cell_start(struct launcher *launcher, struct cell *cell, const struct sandbox_shape *shape,
               int into_fd, uint32_t *ret_step);

/*
 * Makes what the child builds its root of, and sends it. `rootfs` is the image's folder; `kept` the
 * sandbox whose kept disk is the writable layer, or NULL. After a failure the child still lives: it
 * is the caller's to kill.
 */
int cell_furnish(struct launcher *launcher, struct cell *cell, const struct sandbox_shape *shape,
                 int rootfs, const struct id *kept, uint32_t *ret_step);

#endif
