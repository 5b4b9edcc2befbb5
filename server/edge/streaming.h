/*
 * Answers without an end (server/stream/stream.h): the HTTP layer names a stream in its answer's
 * head, its thread is released, and the stream's bytes go to the client in chunks as they come. A
 * stream that takes input turns the connection into a WebSocket: bytes go as they are, both ways.
 */
#ifndef SERVER_EDGE_STREAMING_H
#define SERVER_EDGE_STREAMING_H

#include "server/edge/loop.h"
#include "server/edge/response.h"

/*
 * Takes the stream that `response` names over for the connection, and gives the response the
 * framing of a stream. False when there is no such stream.
 */
bool edge_streaming_begin(struct edge_conn *conn, struct edge_response *response);

/* The head is written and the upstream released: goes on with the stream (state STREAM), or, for a
 * HEAD and at a stop, without. */
void edge_streaming_enter(struct edge_conn *conn);

/* Passes on what is there. True when something moved. */
bool edge_streaming_step(struct edge_conn *conn);

/* Nothing was sent for a while. */
void edge_streaming_heartbeat(struct edge_conn *conn);

/* The connection is done with its stream. */
void edge_streaming_leave(struct edge_conn *conn);

/* Lets those streams go on that have something; of many, the rest in the next turn. */
void edge_streaming_wake(struct edge_loop *loop);

#endif
