/*
 * The edge: owns the public port. One thread, epoll, non-blocking sockets.
 *
 * It validates each request's framing (head.h, chunked.h), collects small bodies whole, and only
 * then takes one of a bounded number of kept-alive connections to the HTTP layer, so that slow or
 * half-sent requests cost memory of a known size and never a worker. What it refuses, and every
 * limit, is in docs/http.md.
 */
#ifndef SERVER_EDGE_EDGE_H
#define SERVER_EDGE_EDGE_H

#include <atoll/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct edge;
struct streams;

/* Sizes in bytes, times in milliseconds. */
struct edge_limits {
    uint64_t max_body_bytes;
    uint64_t max_transfer_bytes; /* of the body of a transfer */
    /* A request must have arrived whole by then, each piece of a transfer's body; else 408. */
    uint32_t request_timeout_ms;
    uint32_t idle_timeout_ms; /* an idle keep-alive connection is closed */
};

struct edge_options {
    const char *host;       /* numeric IPv4 or IPv6 address, or a name that the resolver knows */
    uint16_t port;          /* 0 takes a free one */
    uint16_t upstream_port; /* of the HTTP layer, on 127.0.0.1 */
    const char *secret;     /* edge_secret_new; copied */
    unsigned max_connections;
    unsigned upstreams;        /* connections to the HTTP layer; equals its threads */
    unsigned flow_upstreams;   /* of them, for one client at most; 0: all */
    unsigned max_queued;       /* requests waiting for one of them; beyond it 503 */
    uint32_t queue_timeout_ms; /* longest wait for one of them; then 503 */
    struct streams *streams;   /* that answers may name; NULL: none; outlives the edge */
    uint32_t heartbeat_ms;     /* a stream that sent nothing so long gets its heartbeat */
    /*
     * True for a request whose body is passed on as it comes, whatever its size: a transfer. NULL:
     * there are none. The target is what was sent. Called on the edge's thread.
     */
    bool (*is_transfer)(const char *method, size_t method_size, const char *target,
                        size_t target_size);
    struct edge_limits limits;
};

/* Listens and starts the thread. `ret_port` (NULL is allowed) is the port listened on. */
int edge_start(const struct edge_options *options, struct edge **ret_edge, uint16_t *ret_port,
               struct error *err);

/* Applies to requests that start afterwards; timeouts apply at once. Any thread may call. */
void edge_set_limits(struct edge *edge, const struct edge_limits *limits);

/*
 * Stops listening, lets requests that have begun finish for at most `drain_ms`, closes everything,
 * joins the thread and frees. NULL is allowed.
 */
void edge_stop(struct edge *edge, uint32_t drain_ms);

#endif
