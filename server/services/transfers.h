/*
 * How many large bodies a tenant moves at once. Each holds a request's thread for as long as its
 * client likes, so that their number has to be bounded (server.max_transfers).
 */
#ifndef SERVER_SERVICES_TRANSFERS_H
#define SERVER_SERVICES_TRANSFERS_H

#include "server/services/services.h"

#include <atoll/cleanup.h>

/* Bodies up to this size, in bytes, need no place: the sockets take most of them at once. */
enum { TRANSFER_SMALL_MAX = 1024 * 1024 };

/* A size that nobody knows yet. */
#define TRANSFER_SIZE_UNKNOWN UINT64_MAX

/* A place taken; zeroed: none. */
struct transfer_place {
    struct places *places;
    struct id tenant;
};

/* Takes a place for a body of `size` bytes, none for a small one. ERR_TOO_MANY: all are taken. */
int transfer_enter(struct services *services, const struct caller *caller, uint64_t size,
                   struct transfer_place *ret_place, struct error *err);

/* Gives the place back. */
void transfer_leave(struct transfer_place *place);

#define _cleanup_transfer_ _cleanup_(transfer_leave)

#endif
