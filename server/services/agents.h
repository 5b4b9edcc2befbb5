/*
 * Connections to agents that have just been used, kept for the next request to the same container:
 * a new one costs both sides more than a short request's own messages.
 *
 * A connection is kept for a short time, and at most so many are, of each container and in all: an
 * agent holds memory for each, and has room for AGENT_PEERS_MAX. The server ends them, not the
 * agent, so that no request is sent to where nobody reads it. One is kept only when nothing is
 * under way on it: what is broken off ends with its connection. Thread-safe.
 */
#ifndef SERVER_SERVICES_AGENTS_H
#define SERVER_SERVICES_AGENTS_H

#include "lib/runtime/agent_client.h"
#include "server/services/services.h"

#include <atoll/cleanup.h>
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

/* A connection while it is used. Zeroed: none. */
struct agent_use {
    struct agents *agents;
    struct id sandbox;
    uint32_t generation;
    struct agent_client *client;
};

/* Takes a connection that is kept, or makes one; errors as of agent_client_connect. */
int agents_connect(struct services *services, const struct id *sandbox, uint32_t generation,
                   int64_t deadline_usec, struct agent_use *ret_use, struct error *err);

void agents_leave(struct agent_use *use);

#define _cleanup_agent_use_ _cleanup_(agents_leave)

#endif
