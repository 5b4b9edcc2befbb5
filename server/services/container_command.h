/*
 * The main command of a container: entrypoint and command together, a process of its own in the
 * sandbox, with the sandbox's id. Its end is the worker's to see (worker/commands.c), or the
 * stop's (container_stop.h).
 */
#ifndef SERVER_SERVICES_CONTAINER_COMMAND_H
#define SERVER_SERVICES_CONTAINER_COMMAND_H

#include "server/services/services.h"

#include <atoll/container.h>

/* Starts it, where there is one; the record has its environment. Returns once its program runs.
 * ERR_INVALID_FIELD (field command) when it cannot be executed. */
int container_command_start(struct services *services, const struct container_record *record,
                            struct error *err);

#endif
