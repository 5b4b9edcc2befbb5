/*
 * The end of all that runs in the sandbox (STOP): TERM to everything, after a grace KILL, and
 * nothing new meanwhile. It holds as long as the connection lives that asked for it, so that a
 * sandbox whose end nobody goes on with can be used again.
 */
#ifndef AGENT_STOP_H
#define AGENT_STOP_H

#include <stdbool.h>
#include <stdint.h>

/* Of several stops at once the soonest counts. Each is to be released once. */
void stop_begin(uint32_t grace_ms);
void stop_release(void);

/* Whether nothing may be started. */
bool stop_begun(void);

/*
 * Who asked for the stop is answered last, because his answer may be the end of the sandbox: before
 * each look of his, whether other connections still move.
 */
void stop_tell_last(bool others_move);

/*
 * Whether all has ended since, every end is noted, and all others have been sent what they can take
 * of it (for half a second at most).
 */
bool stop_over(void);

/* As peers_run (agent/peer.h), and behind it. */
int stop_run(void);

#endif
