/*
 * The end of a sandbox: kill, wait for the pid namespace to be empty (its init's pidfd says so),
 * remove cgroups and folders, wait for its kept disk to be unmounted, free the slot.
 */
#ifndef LAUNCHER_DESTROY_H
#define LAUNCHER_DESTROY_H

#include "launcher/launcher.h"

/* Kills a sandbox that has a process. Phase DYING until its pidfd is readable; `deadline_usec` is
 * when to call destroy_hasten. */
void destroy_kill(struct launcher *launcher, struct sandbox *sandbox);

/* Reads the counters into the entry, once: at the kill for whom that is early enough, else at the
 * end. */
void destroy_read_usage(const struct launcher *launcher, struct sandbox *sandbox);

/*
 * Helps a DYING sandbox that is not dead yet. Its init kills the others only when it gets to run,
 * and each of them needs processor time to die, which a crowd has used up: so they are killed from
 * outside, and the limit goes.
 */
void destroy_hasten(struct launcher *launcher, struct sandbox *sandbox);

/*
 * Its last process is gone: reads the counters and removes what is left. Returns true when all is
 * gone; false leaves phase DEAD and a `deadline_usec` at which to call again (a cgroup is busy
 * until the kernel has let go of its last task).
 */
bool destroy_clean(struct launcher *launcher, struct sandbox *sandbox);

#endif
