/*
 * Answers without an end: events, output, logs. Such an answer must not hold a thread, so it is a
 * bounded queue of bytes between a producer, any thread, and the edge, whose one thread writes it
 * to the client.
 *
 *   handler    makes the stream and answers by http_respond_stream, which offers it under a random
 *              id; the edge takes it by that id and releases the handler's thread
 *   producer   pushes bytes; a full queue is its to judge: stream_write waits, stream_push refuses
 *   edge       is woken by an eventfd when a stream has something, and reads
 *
 * A stream may have a second direction (stream_set_input): a bounded queue of what the client sends
 * after the request's head. Such an answer is an upgrade of the connection, and its bytes go as
 * they are.
 *
 * A stream is counted: handler, offer, producer and edge each hold a reference. It ends once, for
 * all: done (all bytes were pushed), broken (the client must notice), or gone (the client has left,
 * or was never there). Every function but the ones marked so may be called by any thread.
 */
#ifndef SERVER_STREAM_STREAM_H
#define SERVER_STREAM_STREAM_H

#include <atoll/cleanup.h>
#include <atoll/error.h>
#include <stdbool.h>
#include <stddef.h>

enum {
    STREAM_ID_SIZE = 33,               /* 32 hex digits and a NUL */
    STREAM_CAPACITY_MAX = 1024 * 1024, /* of a queue */
};

struct stream;
struct streams;

enum stream_state { STREAM_OPEN, STREAM_DONE, STREAM_BROKEN, STREAM_GONE };

/* --- all streams of the process */

struct streams_options {
    unsigned guard_ms; /* each stream's guard is asked so often */
    unsigned offer_ms; /* an offer that nobody took so long is withdrawn */
};

int streams_create(const struct streams_options *options, struct streams **ret_streams,
                   struct error *err);

/* Withdraws the offers, and asks no guard any more: afterwards what guards ask may be freed. NULL
 * is allowed. */
void streams_stop(struct streams *streams);

/* Stops them, too. No stream may be left but in offers. NULL is allowed. */
void streams_free(struct streams *streams);

/* --- the producer's side */

/*
 * A stream whose queue holds at most `capacity` bytes; they are allocated while it holds any. The
 * caller has the one reference.
 */
int stream_new(struct streams *streams, size_t capacity, struct stream **ret_stream,
               struct error *err);

struct stream *stream_ref(struct stream *stream);
void stream_unref(struct stream *stream); /* NULL is allowed */

DEFINE_CLEANUP(struct stream *, stream, stream_unref)
#define _cleanup_stream_ _cleanup_(cleanup_stream)

/* `text`, a constant, is sent whenever nothing else was for a while; before the stream is offered.
 */
void stream_set_heartbeat(struct stream *stream, const char *text);

/*
 * `guard` is asked every guard_ms whether the stream may go on; when it may not, the stream is
 * broken. It may block, and runs on a thread of its own. `release` (NULL is allowed) is called for
 * `user` when the stream is freed. Before the stream is offered.
 */
void stream_set_guard(struct stream *stream, bool (*guard)(void *user), void (*release)(void *user),
                      void *user);

/*
 * The stream has a second direction: up to `capacity` bytes of what the client sends wait for
 * stream_receive, and `wake` is called when some have come. What has no room stays with the client.
 * Before the stream is offered.
 */
void stream_set_input(struct stream *stream, size_t capacity);

/* Moves up to `size` bytes of what the client has sent. */
size_t stream_receive(struct stream *stream, void *data, size_t size);

/* True when stream_receive has something. */
bool stream_has_received(struct stream *stream);

/* Queues all of the bytes, or none: false when there is no room, or the stream has ended. */
bool stream_push(struct stream *stream, const void *data, size_t size);

/*
 * `wake` is called when half of the queue is free after stream_push_some had to leave something,
 * when the client has sent something, and when he has left; it must not block, nor call the
 * stream's functions. `user` must outlive the stream. Before the stream is offered.
 */
void stream_set_wake(struct stream *stream, void (*wake)(void *user), void *user);

/* Queues as many of the bytes as there is room for, and returns how many; 0 also when the stream
 * has ended. */
size_t stream_push_some(struct stream *stream, const void *data, size_t size);

/*
 * Queues all of the bytes, waiting up to `timeout_ms` for each piece of room: back-pressure for a
 * producer with a thread of its own. False when the stream has ended or the time is over; part of
 * the bytes may be queued then, so the producer should break it.
 */
bool stream_write(struct stream *stream, const void *data, size_t size, unsigned timeout_ms);

/* Ends an open stream: what is queued still goes out. */
void stream_finish(struct stream *stream);

/* Ends an open stream so that the client sees that it is not whole. */
void stream_break(struct stream *stream);

enum stream_state stream_state(struct stream *stream);

/* --- the HTTP layer's side */

/* Offers the stream under a new random id. The offer holds a reference. */
int streams_offer(struct streams *streams, struct stream *stream,
                  char ret_id[static STREAM_ID_SIZE], struct error *err);

/* --- the edge's side: one thread */

/* Readable when streams_next_ready has something; the caller reads it. */
int streams_wake_fd(const struct streams *streams);

/* Makes the descriptor readable: streams_next_ready was not asked to the end. */
void streams_wake_again(struct streams *streams);

/* Takes an offer. NULL when there is none of this id. `owner` is what streams_next_ready gives. */
struct stream *streams_take(struct streams *streams, const char *id, void *owner);

/* The owner of a taken stream that has bytes, or has ended; NULL when there is none. */
void *streams_next_ready(struct streams *streams);

/* Moves up to `size` bytes out of the queue. *ret_state is not OPEN when these were the last. */
size_t stream_read(struct stream *stream, void *data, size_t size, enum stream_state *ret_state);

/* True when the stream takes what the client sends. */
bool stream_takes_input(const struct stream *stream);

/* Queues as many of the client's bytes as there is room for, and returns how many. If that is not
 * all, the stream is ready (streams_next_ready) once there is room. */
size_t stream_feed(struct stream *stream, const void *data, size_t size);

/* The heartbeat, NULL when there is none. */
const char *stream_heartbeat(const struct stream *stream);

/* The edge is done with it, for whatever reason; gives its reference back. */
void stream_abandon(struct stream *stream);

#endif
