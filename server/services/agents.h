/*
 * Connections to agents that have just been used, kept for the next command of the same container:
 * a new one costs both sides more than the command's own messages.
 *
 * A connection is kept for a short time, and at most so many are, of each container and in all: an
 * agent holds memory for each, and has room for AGENT_PEERS_MAX. The server ends them, not the
 * agent, so that no command is sent to where nobody reads it. One is kept only when nothing is
 * under way on it: a command that is broken off ends with its connection. Thread-safe.
 */
#ifndef SERVER_SERVICES_AGENTS_H
#define SERVER_SERVICES_AGENTS_H

#include "lib/runtime/agent_client.h"

#include <atoll/error.h>
#include <atoll/id.h>
#include <stdint.h>

enum {
    AGENTS_MAX = 64,
    AGENTS_OF_CONTAINER_MAX = 8,
};

struct agents;

/* Starts the thread that closes what was not used again for `idle_ms`. */
int agents_start(unsigned idle_ms, struct agents **ret_agents, struct error *err);

/* Closes all. NULL is allowed. */
void agents_stop(struct agents *agents);

/* The connection that was used last of a container's generation; the caller's now. NULL: there is
 * none on which the agent still listens. */
struct agent_client *agents_take(struct agents *agents, const struct id *sandbox,
                                 uint32_t generation);

/* Takes a connection over, whatever became of what was done on it: to be kept, or to be closed
 * where it is of no further use or there are enough. */
void agents_give(struct agents *agents, const struct id *sandbox, uint32_t generation,
                 struct agent_client *client);

#endif
