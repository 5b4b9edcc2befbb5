/*
 * The end of all that runs in a container, before its sandbox is destroyed: so that every process
 * has its real wait status, and all that it wrote is in its log. Blocking; called on a request's
 * thread.
 */
#ifndef SERVER_SERVICES_CONTAINER_STOP_H
#define SERVER_SERVICES_CONTAINER_STOP_H

#include "server/services/services.h"

#include <atoll/container.h>

/* How the main command ended. */
struct container_exit {
    bool seen;
    int exit_code; /* -1: none */
    int signal;    /* 0: none */
};

/* A container whose processes are ended. Zeroed is none. */
struct container_stop {
    struct agent_client *agent; /* as long as it is open, nothing can be started */
    struct container_exit exit;
};

/*
 * Sends TERM to everything in a generation, after `timeout_s` KILL (with 0 at once), and records
 * the ends durably. One that stands still is let go on for it. Where the agent does not answer, or
 * something does not end, nothing is recorded; the caller destroys the sandbox anyway, and frees
 * *ret_stop after that.
 */
void container_stop_begin(struct services *services, const struct id *tenant, const struct id *id,
                          uint32_t generation, uint32_t timeout_s, struct container_stop *ret_stop);

void container_stop_free(struct container_stop *stop);

#endif
