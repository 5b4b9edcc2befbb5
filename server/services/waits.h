/*
 * Requests that wait for a process: an exec for its end, a wait, input that the process has to
 * read, a search of files. Each holds a thread for up to minutes, so that a tenant, and all of them
 * together, may have so many and no more: the other threads are for requests that take
 * milliseconds.
 */
#ifndef SERVER_SERVICES_WAITS_H
#define SERVER_SERVICES_WAITS_H

#include "server/services/services.h"

#include <atoll/cleanup.h>

enum {
    WAITS_MAX = 192,
    WAITS_OF_TENANT = 64,
};

/* Zeroed: none. */
struct wait_place {
    struct places *places;
    struct id tenant;
};

/* ERR_TOO_MANY when all are taken. */
int wait_enter(struct services *services, const struct caller *caller, struct wait_place *ret_place,
               struct error *err);

void wait_leave(struct wait_place *place);

#define _cleanup_wait_ _cleanup_(wait_leave)

#endif
