/*
 * Making a sandbox, the parent's side: everything up to the child's release is done at once (about
 * a millisecond); the child then finishes by itself and the loop hears of it.
 */
#ifndef LAUNCHER_CREATE_H
#define LAUNCHER_CREATE_H

#include "launcher/launcher.h"
#include "launcher/steps.h"

#include <atoll/launcher_proto.h>

enum { CREATE_DEADLINE_USEC = 10 * 1000 * 1000 };

/*
 * Starts a create. Returns 0 and an entry of phase STARTING, which the loop watches: its `status`
 * is readable once the child has failed or run the agent; or of phase LIVE, which had been ready.
 * Or an errno value with `*ret_step`, and nothing is left except, where a child had been started,
 * an entry that the caller kills and the loop finishes (*ret_sandbox is set to it then).
 */
int create_start(struct launcher *launcher, const struct launcher_request *request,
                 struct sandbox **ret_sandbox, uint32_t *ret_step);

/* The same for the sandbox that is to be ready: an entry without id, with a name of ready_name.h,
 * and without a state file. `rootfs` is the image's folder. */
int create_ahead(struct launcher *launcher, const char image[static LAUNCHER_IMAGE_SIZE],
                 const struct sandbox_shape *shape, int rootfs, struct sandbox **ret_sandbox,
                 uint32_t *ret_step);

enum create_outcome { CREATE_PENDING, CREATE_DONE, CREATE_FAILED };

/*
 * The child's status pipe is readable: reads what it says. The child announces its exec and the
 * exec closes the pipe; an end without the announcement is a death (the memory limit, a kill).
 * On CREATE_FAILED the sandbox's `failure` and `failure_step` are set.
 */
enum create_outcome create_finish(struct sandbox *sandbox);

/*
 * Opens the image's rootfs and notes which it is in `shape`; everything else of that is untouched.
 * Returns a descriptor, or -1 and errno.
 */
int create_open_image(const struct launcher *launcher, const char *image,
                      struct sandbox_shape *shape);

/* Writes the state file of a sandbox, by which a later launcher adopts it, into its folder. -1 and
 * errno. */
int create_write_state(int folder, const struct sandbox *sandbox);

/* Removes the sandbox's run folder, whatever of it exists. -1 and errno. */
int create_remove_folder(const struct launcher *launcher, const char *name);

#endif
