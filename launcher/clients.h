/*
 * The connections to the launcher's socket. A client has one request under way at a time; an
 * answer that must wait for a kernel event is matched by op, id and generation, so that nothing
 * here points into the table of sandboxes.
 */
#ifndef LAUNCHER_CLIENTS_H
#define LAUNCHER_CLIENTS_H

#include "launcher/launcher.h"

/* The listening socket is readable: takes one connection, if its peer is the client or root. */
void clients_accept(struct launcher *launcher);

/* A connection is readable or closed: serves one request. `source` may be freed. */
void clients_serve(struct launcher *launcher, struct source *source);

/* Answers the create that waits for this sandbox: LIVE, or failed and gone. */
void clients_created(struct launcher *launcher, const struct sandbox *sandbox);

/* Runs the create that waits for this sandbox once more. False when nobody waits; else the
 * sandbox's entry is gone. */
bool clients_create_again(struct launcher *launcher, struct sandbox *sandbox);

/* Answers the destroys for which this sandbox was the last match; call when it is gone. */
void clients_destroyed(struct launcher *launcher, const struct sandbox *sandbox);

/* Answers the freezes of this sandbox with `status` (0 or errno). */
void clients_frozen(struct launcher *launcher, const struct sandbox *sandbox, int status);

#endif
