/*
 * The agent's children that have ended: its commands, and the orphans that process 1 inherits.
 *
 * A crowd can die as fast as it is reaped, for ever. So it is done in pieces, between which
 * connections and deadlines have their turn.
 */
#ifndef AGENT_REAPER_H
#define AGENT_REAPER_H

#include <stdbool.h>

enum { REAPER_PIECE = 256 }; /* children */

/* Reaps a piece of those that have ended and tells who they were. True when there may be more. */
bool reaper_run(void);

#endif
