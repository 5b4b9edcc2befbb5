/*
 * A client's connection: a state machine that reads a head, collects the body, has it answered and
 * starts again. Each step works as far as the sockets allow and then waits for an event.
 */
#ifndef SERVER_EDGE_CONN_H
#define SERVER_EDGE_CONN_H

#include "server/edge/loop.h"

/* Takes the accepted socket over, also when it fails. */
void edge_conn_open(struct edge_loop *loop, int fd, const char *client);

/* What epoll said about the socket. */
void edge_conn_event(struct edge_conn *conn, uint32_t events);

/* Goes on as far as possible. */
void edge_conn_run(struct edge_conn *conn);

/* The connection's deadline has passed. */
void edge_conn_expired(struct edge_conn *conn);

/* Answers with a problem and closes afterwards. Only before an answer has begun. */
void edge_conn_refuse(struct edge_conn *conn, const struct error *error);

/* Closes at once. */
void edge_conn_close(struct edge_conn *conn);

/* Reads once into `input`. False when nothing was there; then input_ended may be set. */
bool edge_conn_fill(struct edge_conn *conn);

/*
 * Moves the body's bytes from `input` to `body`. Returns 1 when something moved, 0 when nothing
 * could. Fails for a malformed body and for one over the limit.
 */
int edge_conn_take_body(struct edge_conn *conn, struct error *err);

/* Sends `output`. True when something was sent; closes the connection on an error. */
bool edge_conn_flush(struct edge_conn *conn);

#endif
