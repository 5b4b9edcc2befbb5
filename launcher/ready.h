/*
 * The ready sandbox: in idle time the launcher makes one of the shape of the last two creates that
 * came about, up to its running agent, and the next create of that shape gives it a name.
 *
 * It is nobody's: an entry without id, of a name that no request can spell (ready_name.h), with a
 * run folder without state file, so that no later launcher adopts it. It is used once or never. The
 * direct way of create.c stands behind it, so nothing here fails a create. Only on cgroups v1: v2
 * has no rename of groups.
 */
#ifndef LAUNCHER_READY_H
#define LAUNCHER_READY_H

#include "launcher/launcher.h"

#include <atoll/launcher_proto.h>

/* A create of this sandbox's shape came about: after two of one shape the next is expected to be
 * alike. */
void ready_follow(struct launcher *launcher, const struct sandbox *sandbox);

/* When to make it (monotonic, may be past), if nothing else happens; 0: not at all as it stands. */
int64_t ready_due_usec(const struct launcher *launcher);

/* A destroy was answered early: its client comes back for the end within a millisecond or two, and
 * is not to wait for us. It came back, or another did: the pause is over. */
void ready_pause(struct launcher *launcher, bool pause);

/* Makes it. A failure is logged, and not tried again before another create came about. */
void ready_make(struct launcher *launcher);

/*
 * Gives the ready sandbox the name that the request asks for, if it is of this shape; one of
 * another shape is discarded. The sandbox is LIVE, or still STARTING. NULL: there is none.
 */
struct sandbox *ready_claim(struct launcher *launcher, const struct launcher_request *request,
                            const struct sandbox_shape *shape);

/* One that was claimed while STARTING was killed before its agent ran: no other is made before a
 * create came about. */
void ready_was_killed(struct launcher *launcher);

/* Kills it, if there is one; the loop removes what it leaves. */
void ready_discard(struct launcher *launcher);

/* A ready sandbox has ended, and nothing of it is left but its entry. */
void ready_ended(struct launcher *launcher, const struct sandbox *sandbox);

#endif
