/*
 * The connections to the HTTP layer. Each keeps one of its threads for as long as it is open, so
 * there are never more than threads. Requests that find none free wait, bounded, in turns by flow
 * (flow.h), and in a flow in order. Those whose body is still arriving may hold half of the
 * upstreams at most, so that slow uploads never shut the others out.
 */
#ifndef SERVER_EDGE_UPSTREAM_H
#define SERVER_EDGE_UPSTREAM_H

#include "server/edge/loop.h"

/*
 * Has the request answered: attaches an upstream (state EXCHANGE), queues it (QUEUED), or refuses
 * it with 503.
 */
void edge_upstream_submit(struct edge_conn *conn);

/* Takes the connection out of the queue. */
void edge_upstream_unqueue(struct edge_conn *conn);

/* Gives the connection's upstream back: for the next request, or to be closed. */
void edge_upstream_release(struct edge_conn *conn, bool reuse);

/* The answer is here, the handler still at work: the upstream counts until its thread closes it. */
void edge_upstream_drain(struct edge_conn *conn);

/* The client is gone: frees the upstream without breaking the thread's accounting. */
void edge_upstream_abandon(struct edge_conn *conn);

void edge_upstream_event(struct edge_upstream *upstream, uint32_t events);

/* Closes at once. */
void edge_upstream_close(struct edge_upstream *upstream);

#endif
