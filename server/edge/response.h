/*
 * The head of an upstream's response, parsed as strictly as a request's: a connection is used again
 * only when the end of the response is certain.
 */
#ifndef SERVER_EDGE_RESPONSE_H
#define SERVER_EDGE_RESPONSE_H

#include "server/edge/head.h"

struct edge_response {
    int status;
    struct edge_span reason;
    enum edge_framing framing; /* NONE: no body follows */
    uint64_t length;
    bool has_length;         /* a Content-Length came, be it of a HEAD's answer */
    struct edge_span stream; /* the id of the stream that is the body; empty: none */
    bool keep_alive;         /* the upstream takes another request on this connection */
    size_t field_count;
    struct edge_field fields[EDGE_FIELDS_MAX]; /* `forward` is false for those that end here */
};

/*
 * Parses a complete head (edge_head_scan). `to_head`: it answers a HEAD request, so no body
 * follows whatever the fields say. Refuses, with ERR_BAD_GATEWAY, interim responses and responses
 * whose end only the connection's end would tell.
 */
int edge_response_parse(const char *data, size_t size, bool to_head,
                        struct edge_response *ret_response, struct error *err);

#endif
