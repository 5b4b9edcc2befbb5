/*
 * The main command of a container: entrypoint and command together, a process of its own in the
 * sandbox, with the sandbox's id. Its end is the worker's to see (worker/commands.c), or the
 * stop's.
 */
#ifndef SERVER_SERVICES_CONTAINER_COMMAND_H
#define SERVER_SERVICES_CONTAINER_COMMAND_H

#include "server/services/services.h"

#include <atoll/container.h>

/* Starts it, where there is one; the record has its environment. Returns once its program runs.
 * ERR_INVALID_FIELD (field command) when it cannot be executed. */
int container_command_start(struct services *services, const struct container_record *record,
                            struct error *err);

/* How it ended. */
struct container_exit {
    bool seen;
    int exit_code; /* -1: none */
    int signal;    /* 0: none */
};

/*
 * Sends TERM to all of it and waits `timeout_s` at most for its end; success is not needed, because
 * KILL to the whole sandbox follows.
 */
void container_command_end(struct services *services, const struct container_record *record,
                           uint32_t timeout_s, struct container_exit *ret_exit);

#endif
