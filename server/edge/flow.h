/*
 * Requests that wait for an upstream, by flow, so that they are served in turns: a flow is what
 * comes with one Authorization or X-API-Key value, or from one address without either. A flow may
 * hold a part of the upstreams only, so that one client's flood never has all of them.
 *
 * Flows are the buckets of a fixed table under a hash that the clients cannot know: two may share
 * one, and memory stays of one size whatever the clients send. They belong to the loop's thread.
 */
#ifndef SERVER_EDGE_FLOW_H
#define SERVER_EDGE_FLOW_H

#include "server/edge/field.h"
#include "server/edge/head.h"

#include <stdbool.h>
#include <sys/queue.h>

struct edge_conn;
TAILQ_HEAD(edge_conns, edge_conn);

enum { EDGE_FLOWS = 512 };

struct edge_flow {
    unsigned attached;          /* upstreams that its requests hold */
    struct edge_conns whole;    /* waiting, with all of the request */
    struct edge_conns arriving; /* waiting, with a body that is still arriving */
    bool in_turn;
    TAILQ_ENTRY(edge_flow) turn;
};

TAILQ_HEAD(edge_turns, edge_flow);

struct edge_flows {
    struct edge_flow table[EDGE_FLOWS];
    struct edge_turns turns; /* those with a request that waits; the next to be served first */
};

void edge_flows_init(struct edge_flows *flows);

/* The flow of a request from the address `client`; `secret` is what clients do not know. */
struct edge_flow *edge_flow_find(struct edge_flows *flows, const char *secret,
                                 const struct edge_head *head, const char *client);

/* The connection, whose `flow` is set, waits as the last of its flow. */
void edge_flow_add(struct edge_flows *flows, struct edge_conn *conn);

/* It waits no more, for whatever reason. */
void edge_flow_remove(struct edge_flows *flows, struct edge_conn *conn);

/* It is served: the others have their turns before its flow has the next. */
void edge_flow_serve(struct edge_flows *flows, struct edge_conn *conn);

/*
 * The next to be served, NULL when nobody may be: one whose flow holds fewer than `most` upstreams
 * and, with `whole` or `arriving` false, none of that kind.
 */
struct edge_conn *edge_flow_next(const struct edge_flows *flows, unsigned most, bool whole,
                                 bool arriving);

#endif
