/*
 * Request targets and Host values (RFC 9112 section 3.2, RFC 3986). What two readers could
 * understand differently is refused, not repaired: dot segments, encoded slashes, encoded NUL and
 * control characters, backslashes, malformed percent-encoding, bytes over 0x7e.
 */
#ifndef SERVER_EDGE_TARGET_H
#define SERVER_EDGE_TARGET_H

#include "server/edge/field.h"

enum {
    EDGE_TARGET_MAX = 8 * 1024,
    EDGE_HOST_MAX = 255 + 6, /* RFC 1035 section 2.3.4: a name has at most 255 bytes; ":65535" */
};

/* A name, an IPv4 address or an IPv6 address in brackets, with an optional port. */
int edge_host_check(struct edge_span host, struct error *err);

/*
 * Takes origin-form, or absolute-form (http) whose authority equals `host`; returns origin-form,
 * a span into `target` or a constant.
 */
int edge_target_parse(struct edge_span target, struct edge_span host, struct edge_span *ret_target,
                      struct error *err);

#endif
