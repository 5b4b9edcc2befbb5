/* One request and its answer, relayed between a client and an upstream with back-pressure. */
#ifndef SERVER_EDGE_EXCHANGE_H
#define SERVER_EDGE_EXCHANGE_H

#include "server/edge/loop.h"

/* Begins the exchange: completes the request's head, now that the framing is known. */
bool edge_exchange_begin(struct edge_conn *conn);

/* Relays as far as the sockets allow. True when something moved. */
bool edge_exchange_step(struct edge_conn *conn);

#endif
