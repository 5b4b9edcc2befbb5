/*
 * The parked child: in idle time the launcher makes one cell of the shape of the last two creates
 * that came about, and the next create of that shape starts from there, past all mounts.
 *
 * It is a stock and no sandbox: not in the table and without a name. The direct way of create.c
 * stands behind it, so nothing here fails a create: not even the death of the child in the instant
 * of its use, after which that create is run once more. Only on cgroups v1: on v2 a process comes
 * cheaply into its group by its clone alone.
 */
#ifndef LAUNCHER_PARKED_H
#define LAUNCHER_PARKED_H

#include "launcher/cell.h"

/* A create of this sandbox's shape came about: after two of one shape the next is expected to be
 * alike. */
void parked_follow(struct launcher *launcher, const struct sandbox *sandbox);

/* When to make it (monotonic, may be past), if nothing else happens; 0: not at all as it stands. */
int64_t parked_due_usec(const struct launcher *launcher);

/* Makes it. A failure is logged, and not tried again before another create came about. */
void parked_make(struct launcher *launcher);

/* The parked cell if it is of this shape; one of another shape is discarded. NULL: none. */
struct cell *parked_match(struct launcher *launcher, const struct sandbox_shape *shape);

/* The matched cell has become a sandbox, which has its pidfd, status and slot. */
void parked_taken(struct launcher *launcher);

/* A child that had been parked was killed in the instant of its use: no other is made before a
 * create came about. */
void parked_was_killed(struct launcher *launcher);

/* Kills it. Its uids are free again when it is gone, of which the loop hears. */
void parked_discard(struct launcher *launcher);

/* A child that is or was parked has ended. `source` is freed. */
void parked_ended(struct launcher *launcher, struct source *source);

#endif
