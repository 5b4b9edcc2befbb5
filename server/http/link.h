/*
 * What the edge tells the HTTP layer about a request it let through: one header field,
 *
 *     X-Atoll-Edge: <secret> <request id> <client address> <host>
 *
 * one field, so that a client's full 64 arrive beside it. The secret is random, made at each start
 * and known to this process only: a request without it did not come through the edge.
 */
#ifndef SERVER_HTTP_LINK_H
#define SERVER_HTTP_LINK_H

#include <atoll/error.h>
#include <stdbool.h>

#define EDGE_LINK_FIELD "X-Atoll-Edge"

/*
 * And what an answer tells the edge, which passes no X-Atoll- field on: the id of the stream that
 * is the body (server/stream/stream.h).
 */
#define EDGE_STREAM_FIELD "X-Atoll-Stream"

/* Of a request that asks for a WebSocket, whose own fields that say so end at the edge. */
#define EDGE_UPGRADE_FIELD "X-Atoll-Upgrade"

enum {
    EDGE_SECRET_SIZE = 33, /* 32 hex digits and a NUL */
    EDGE_LINK_REQUEST_ID_SIZE = 65,
    EDGE_LINK_CLIENT_SIZE = 46, /* INET6_ADDRSTRLEN */
    EDGE_LINK_HOST_SIZE = 262,
};

struct edge_link {
    char request_id[EDGE_LINK_REQUEST_ID_SIZE];
    char client[EDGE_LINK_CLIENT_SIZE];
    char host[EDGE_LINK_HOST_SIZE];
};

/* Makes a secret for edge_options and http_options. Fails when the kernel gives no random bytes. */
int edge_secret_new(char ret_secret[static EDGE_SECRET_SIZE], struct error *err);

/* Takes the field's value apart. False when it is malformed or the secret is another one. */
bool edge_link_parse(const char *value, const char *secret, struct edge_link *ret_link);

#endif
