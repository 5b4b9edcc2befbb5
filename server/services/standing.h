/*
 * Whether a caller may still go on: what the guards of streams ask (server/stream/stream.h). His
 * token or key may have expired or been revoked, his tenant suspended, the secret that he came with
 * changed or its sandbox deleted, since he was let in.
 */
#ifndef SERVER_SERVICES_STANDING_H
#define SERVER_SERVICES_STANDING_H

#include "server/services/services.h"
#include "server/stream/stream.h"

struct standing {
    struct services *services;
    struct id tenant;
    bool has_key;
    struct id key;
    bool has_secret;
    struct caller_secret secret;
    int64_t expires_at; /* Unix seconds */
};

struct standing standing_of(struct services *services, const struct caller *caller);

/* Asks PostgreSQL. While that is away nothing is known against him. */
bool standing_is_good(const struct standing *standing);

/*
 * A stream for the caller that ends when his standing does; see stream_new. `heartbeat`, a
 * constant, is sent whenever nothing else was for a while.
 */
int standing_stream(struct services *services, const struct caller *caller, size_t capacity,
                    const char *heartbeat, struct stream **ret_stream, struct error *err);

#endif
