/*
 * The event loop: connections, children that report, sandboxes that end, freezes that become
 * whole, and deadlines. One event a turn, so that nothing handled may have been freed before.
 */
#ifndef LAUNCHER_LOOP_H
#define LAUNCHER_LOOP_H

#include "launcher/launcher.h"

#include <atoll/error.h>

/* Registers the sandbox's pidfd, and its status pipe when it has one. -1 and errno. */
int loop_watch(struct launcher *launcher, struct sandbox *sandbox);

/*
 * Ends the watch and closes the descriptor. A close alone would not: children hold copies of every
 * descriptor until their exec, and epoll goes on reporting for the copies.
 */
void loop_forget(const struct launcher *launcher, struct source *source);

enum { LOOP_FREEZE_LOOK_USEC = 1000 }; /* v1: between two looks at a freeze */

/* v2: waits for the frozen state to change. -1 and errno (ENOTSUP on v1). */
int loop_watch_freeze(struct launcher *launcher, struct sandbox *sandbox);

/* Ends a freeze that is under way, if there is one, and answers its clients. */
void loop_freeze_ended(struct launcher *launcher, struct sandbox *sandbox, int status);

/* Serves until a signal ends the launcher and no ready sandbox is left; -1 when epoll fails. */
int loop_run(struct launcher *launcher, struct error *err);

#endif
