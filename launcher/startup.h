/*
 * What the launcher sets up once: folders, socket, the agent's sealed copy, and a root file system
 * of its own that holds nothing but what making sandboxes takes.
 */
#ifndef LAUNCHER_STARTUP_H
#define LAUNCHER_STARTUP_H

#include "launcher/launcher.h"

#include <atoll/error.h>

/* Fills every descriptor of `launcher`, its filters and its knowledge of the host. */
int startup(struct launcher *launcher, struct error *err);

/* The last step: capabilities and the launcher's own system-call filter. */
int startup_lock_down(struct error *err);

#endif
