/* The answers that the edge makes itself. */
#ifndef SERVER_EDGE_REPLY_H
#define SERVER_EDGE_REPLY_H

#include "server/edge/loop.h"

/* Puts a problem with `Connection: close` into the connection's output. False without memory. */
bool edge_reply_problem(struct edge_conn *conn, const struct error *error);

/* Answers `OPTIONS *`. False without memory. */
bool edge_reply_options(struct edge_conn *conn);

/* Too many connections: writes a 503 as far as the socket takes it, and closes the socket. */
void edge_reply_overload(struct edge_loop *loop, int fd);

#endif
