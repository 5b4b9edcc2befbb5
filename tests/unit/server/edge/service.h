/* An edge in front of the HTTP layer with a trivial handler, for tests over real sockets. */
#ifndef TESTS_UNIT_SERVER_EDGE_SERVICE_H
#define TESTS_UNIT_SERVER_EDGE_SERVICE_H

#include "server/edge/edge.h"
#include "server/http.h"

struct stream;

enum { SERVICE_STREAM_CAPACITY = 16 * 1024 };

struct service {
    struct http *http;
    struct edge *edge;
    char secret[64];
    uint16_t port;
};

/* Options that suit most tests; change them before service_start. */
struct edge_options service_options(void);

/*
 * Paths: /health; /echo gives the body back, up to ?max=N bytes; /bytes?count=N; /headers tells the
 * fields that came; /early answers 403 without reading the body; /wait blocks until service_let_go;
 * /silent does not answer; /segments tells the decoded path; /stream answers with a stream, with
 * ?heartbeat one that has heartbeats; /forged names a stream that is not there; /twice answers 204,
 * and then 200; /late is a stream that waits as /wait does, /pushed one whose handler waits after
 * its answer; /unread waits behind an answer that is larger than sockets take.
 */
void service_start(struct service *service, struct edge_options *options);
void service_stop(struct service *service);

/* Blocks until `count` handlers are in /wait. */
void service_await_waiting(unsigned count);
void service_let_go(void);

/* The stream that a /stream made; the caller has the reference. Blocks until there is one. */
struct stream *service_await_stream(void);

/* Blocks until the clients of `count` streams have gone. */
void service_await_gone(unsigned count);

#endif
