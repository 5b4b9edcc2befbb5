/*
 * The HTTP layer: civetweb on a loopback port behind the edge, wrapped so that http.c is the only
 * file that knows it. Routes and handlers see the request and the answer only through this header.
 *
 * A handler runs on one of `threads` worker threads (stack: 100 KB, so no large locals) and
 * answers exactly once. The request, and every string got from it, lives until the handler
 * returns. All strings are NUL-terminated.
 */
#ifndef SERVER_HTTP_H
#define SERVER_HTTP_H

#include "lib/json/json.h"
#include "server/http/path.h"

#include <atoll/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct stream;
struct streams;

/* X(symbol, method) */
#define HTTP_METHODS(X)                                                                            \
    X(HTTP_GET, "GET")                                                                             \
    X(HTTP_HEAD, "HEAD")                                                                           \
    X(HTTP_POST, "POST")                                                                           \
    X(HTTP_PUT, "PUT")                                                                             \
    X(HTTP_PATCH, "PATCH")                                                                         \
    X(HTTP_DELETE, "DELETE")                                                                       \
    X(HTTP_OPTIONS, "OPTIONS")

enum http_method {
#define HTTP_METHOD_ENUM(symbol, text) symbol,
    HTTP_METHODS(HTTP_METHOD_ENUM)
#undef HTTP_METHOD_ENUM
};

struct http;
struct http_request;

typedef void (*http_handler)(struct http_request *request, void *user);

struct http_options {
    unsigned threads;            /* requests that run at once; the edge's `upstreams` equals it */
    unsigned request_timeout_ms; /* for one piece of a body, or of an answer, to move */
    const char *edge_secret;     /* edge_secret_new; copied */
    struct streams *streams;     /* for http_respond_stream; NULL: there are none */
    http_handler handler;
    void *user; /* passed to the handler */
};

/* Starts the server on 127.0.0.1 and a port of the kernel's choice. */
int http_start(const struct http_options *options, struct http **ret_http, struct error *err);

/* The port; for edge_options. */
uint16_t http_port(const struct http *http);

/* Waits for running handlers, then stops and frees. Stop the edge first. NULL is allowed. */
void http_stop(struct http *http);

/* --- the request */

enum http_method http_request_method(const struct http_request *request);
const char *http_method_name(enum http_method method);

/* The path as it was sent (percent-encoded), without the query. */
const char *http_request_raw_path(const struct http_request *request);

/*
 * The decoded segments of the path: "/a/b%20c" has "a" and "b c", "/" has none, "/a/" has "a" and
 * "". Each is UTF-8 without NUL, slash or control characters.
 */
size_t http_request_segment_count(const struct http_request *request);
const char *http_request_segment(const struct http_request *request, size_t index);

/* The query as it was sent, "" when there is none. */
const char *http_request_query(const struct http_request *request);

/*
 * Decodes the value of a query parameter ('+' is a space) into `buffer`. Returns 1, or 0 when the
 * query does not have it. Fails with ERR_INVALID_FIELD when it came twice, does not fit `size` or
 * is not UTF-8.
 */
int http_request_query_value(const struct http_request *request, const char *name, char *buffer,
                             size_t size, struct error *err);

/* The value of a header field, NULL when it did not come. */
const char *http_request_header(const struct http_request *request, const char *name);

/* How often a header field came. */
size_t http_request_header_count(const struct http_request *request, const char *name);

const char *http_request_id(const struct http_request *request);
const char *http_request_client(const struct http_request *request);
const char *http_request_host(const struct http_request *request);

/*
 * Reads the whole body; the bytes belong to the request and a NUL stands behind them. Fails with
 * ERR_TOO_LARGE over `max` bytes and with ERR_BAD_REQUEST when the client broke off. Calling again
 * gives the same bytes.
 */
int http_request_body(struct http_request *request, size_t max, const char **ret_data,
                      size_t *ret_size, struct error *err);

/*
 * Takes the next bytes of the body, at most `size` (and INT_MAX); 0 at its end. Fails with
 * ERR_BAD_REQUEST when the client broke off. For a body of any size; not together with
 * http_request_body.
 */
ssize_t http_request_read(struct http_request *request, void *buffer, size_t size,
                          struct error *err);

/* The size that the body was announced with; HTTP_SIZE_UNKNOWN when it comes in chunks. */
#define HTTP_SIZE_UNKNOWN UINT64_MAX
uint64_t http_request_size(const struct http_request *request);

/* --- the answer */

/* Forgets the fields that were added to an answer that did not come about. */
void http_response_forget(struct http_request *request);

/* Adds a field to the answer to come. A value with control characters, or no room, is a 500. */
void http_response_header(struct http_request *request, const char *name, const char *value);

/* The value of a field that was added so, for the caller to free; NULL when it was not. */
char *http_response_field(const struct http_request *request, const char *name);

void http_respond_json(struct http_request *request, int status, const cJSON *body);
void http_respond_problem(struct http_request *request, const struct error *error);

/* For text that is at hand already; `media_type` is a constant. */
void http_respond_bytes(struct http_request *request, int status, const char *media_type,
                        const void *data, size_t size);

/*
 * An answer whose body is sent piece by piece while the handler runs: its head, at once, and then
 * the pieces. `size` is that of all pieces, HTTP_SIZE_UNKNOWN where nobody knows it. A piece waits
 * for the client to take what was sent before; it fails when the client has left. What is not ended
 * by http_respond_end, or has fewer bytes than were announced, breaks the connection, so that the
 * client sees that it is not whole.
 */
void http_respond_begin(struct http_request *request, int status, const char *media_type,
                        uint64_t size);
bool http_respond_piece(struct http_request *request, const void *data, size_t size);
void http_respond_end(struct http_request *request);

/*
 * 200 with a body that comes as it is made: hands the stream over to the edge, which takes a
 * reference of its own. The handler may return; whoever pushes goes on.
 */
void http_respond_stream(struct http_request *request, const char *media_type,
                         struct stream *stream);

/* The same for a handler that pushes the stream itself: until it returns, its thread has no other
 * request. */
void http_respond_pushed_stream(struct http_request *request, const char *media_type,
                                struct stream *stream);

/* True when the client asks for a WebSocket, and the edge can make the connection one. */
bool http_request_asks_websocket(const struct http_request *request);

/*
 * 101: the connection becomes a WebSocket over the stream, which takes input. The fields of the
 * handshake were added before.
 */
void http_respond_upgrade(struct http_request *request, struct stream *stream);

/* 204, or another status whose answer has no body. */
void http_respond_empty(struct http_request *request, int status);

/* The status answered with, 0 before the answer. */
int http_response_status(const struct http_request *request);

/* Sends the answer to come as `status` where it would be 200: it stands for another request's. */
void http_response_set_success(struct http_request *request, int status);

/* Keeps the answer to come for http_response_kept. */
void http_response_keep(struct http_request *request);

/*
 * What was answered, without its head; it belongs to the request. `*ret_media_type` is NULL for an
 * answer without a body. False when nothing was kept: no memory, or a stream.
 */
bool http_response_kept(const struct http_request *request, const char **ret_media_type,
                        const char **ret_data, size_t *ret_size);

#endif
