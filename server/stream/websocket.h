/*
 * A WebSocket (RFC 6455) over a stream that has both directions, from after the handshake on: the
 * server's side. libwslay reads and writes the frames; nothing here waits.
 *
 *     websocket_receive   takes a piece of what has come and gives its messages to the handler;
 *                         pings and closes are answered
 *     websocket_send      queues a message; websocket_flush passes on what the stream has room for
 *
 * Memory is bounded by the caller: he receives only while websocket_flush says that nothing waits,
 * and sends one message after another. A message's binary bytes are handed over as they come, so a
 * message may be of any length; text is collected, up to WEBSOCKET_TEXT_MAX bytes.
 *
 * A WebSocket belongs to one thread at a time. It keeps a reference of the stream.
 */
#ifndef SERVER_STREAM_WEBSOCKET_H
#define SERVER_STREAM_WEBSOCKET_H

#include "server/stream/stream.h"

#include <stdint.h>

enum {
    WEBSOCKET_TEXT_MAX = 4096,
    WEBSOCKET_PIECE = 2048, /* bytes that one websocket_receive takes */
};

/* Close codes, RFC 6455 section 7.4.1. */
enum websocket_code {
    WEBSOCKET_NORMAL = 1000,
    WEBSOCKET_PROTOCOL = 1002,
    WEBSOCKET_NOT_UTF8 = 1007,
    WEBSOCKET_POLICY = 1008,
    WEBSOCKET_TOO_BIG = 1009,
    WEBSOCKET_FAILED = 1011,
};

enum websocket_kind { WEBSOCKET_TEXT, WEBSOCKET_BINARY };

/* Called by websocket_receive; neither may free the WebSocket. */
struct websocket_handler {
    void (*on_text)(void *user, const char *text, size_t size);   /* a whole message, UTF-8 */
    void (*on_binary)(void *user, const void *data, size_t size); /* a piece of a message */
};

struct websocket;

int websocket_new(struct stream *stream, const struct websocket_handler *handler, void *user,
                  struct websocket **ret_websocket, struct error *err);

/* NULL is allowed. */
void websocket_free(struct websocket *websocket);

/* Takes a piece of what the client has sent. False when there was nothing, or a close has begun. */
bool websocket_receive(struct websocket *websocket);

/* Queues a message, which is copied; nothing once a close has begun. Without memory a close
 * begins. */
void websocket_send(struct websocket *websocket, enum websocket_kind kind, const void *data,
                    size_t size);

/* Queues an empty ping: the client must answer. */
void websocket_ping(struct websocket *websocket);

/* Begins a close, if none has begun. It overtakes messages that are queued: flush before, unless
 * they do not matter any more. `reason` is UTF-8 of at most 123 bytes. */
void websocket_close(struct websocket *websocket, enum websocket_code code, const char *reason);

/* Passes on what there is room for. True when nothing is left; a close may be on its way then. */
bool websocket_flush(struct websocket *websocket);

/* True once a close has begun, by either side. */
bool websocket_is_closing(const struct websocket *websocket);

#endif
