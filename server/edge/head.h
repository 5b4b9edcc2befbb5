/*
 * The request head: validation of everything that frames or routes a request, as pure functions
 * over bytes. civetweb behind the edge accepts ambiguous framing; whatever two parsers could read
 * differently is refused here (RFC 9112 section 11.2).
 *
 * Errors carry the status to answer with: ERR_BAD_REQUEST (400), ERR_EXPECTATION_FAILED (417),
 * ERR_HEADERS_TOO_LARGE (431), ERR_NOT_IMPLEMENTED (501), ERR_HTTP_VERSION (505). Their texts hold
 * nothing of the request.
 */
#ifndef SERVER_EDGE_HEAD_H
#define SERVER_EDGE_HEAD_H

#include "server/edge/field.h"

#include <stdint.h>

enum {
    EDGE_HEAD_MAX = 31 * 1024,
    EDGE_FIELDS_MAX = 64, /* civetweb drops the 65th without a word */
    EDGE_REQUEST_ID_MAX = 64,
};

enum edge_framing { EDGE_FRAMING_NONE, EDGE_FRAMING_LENGTH, EDGE_FRAMING_CHUNKED };

struct edge_head {
    struct edge_span method;
    struct edge_span target; /* origin-form, or "*" for OPTIONS */
    struct edge_span host;
    struct edge_span request_id; /* the client's when it has the accepted form, else empty */
    bool http_1_0;
    bool keep_alive;
    bool expect_continue;
    bool asks_upgrade; /* Connection has the option `upgrade` */
    bool websocket;    /* it asks for an upgrade to a WebSocket (RFC 6455 section 4.1) */
    bool chunked;
    bool has_length;
    uint64_t length;
    size_t field_count;
    struct edge_field fields[EDGE_FIELDS_MAX];
};

/* How the request's body is framed. */
enum edge_framing edge_head_framing(const struct edge_head *head);

/*
 * Parses a complete head of `size` bytes (edge_head_scan). On success every span points into
 * `data` or to a constant, and the fields not marked `forward` are those that end here: hop-by-hop
 * ones (RFC 9110 section 7.6.1), framing, Host, X-Request-Id and whatever starts with X-Atoll-.
 */
int edge_head_parse(const char *data, size_t size, struct edge_head *ret_head, struct error *err);

#endif
