/* What stream.c and registry.c share: see stream.h. */
#ifndef SERVER_STREAM_REGISTRY_H
#define SERVER_STREAM_REGISTRY_H

#include "server/stream/stream.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/queue.h>

/*
 * Locks: the stream's and the registry's; nobody holds both, and nobody holds one while it calls
 * out or writes to a client.
 */
/* A queue of bytes; it has memory only while it holds some. */
struct stream_ring {
    char *data;
    size_t capacity;
    size_t first;
    size_t used;
};

struct stream {
    struct streams *streams;
    atomic_uint references;
    const char *heartbeat;
    bool (*guard)(void *user);
    void (*release)(void *user);
    void *guard_user;
    void (*wake)(void *user);
    void *wake_user;
    atomic_bool rung; /* on the list of ready streams, or about to be */

    pthread_mutex_t lock; /* over the queue: */
    pthread_cond_t room;  /* bytes were taken, or the stream has ended */
    enum stream_state state;
    bool wanted; /* a producer waits for room */
    struct stream_ring output;
    struct stream_ring input; /* without capacity where the client sends nothing */
    bool input_wanted;        /* the edge waits for room in it */

    /* Under the registry's lock: */
    enum { STREAM_UNKNOWN, STREAM_OFFERED, STREAM_TAKEN } place;
    bool ready;
    char id[STREAM_ID_SIZE];
    int64_t offered_usec; /* monotonic */
    void *owner;
    TAILQ_ENTRY(stream) link; /* offered or taken */
    TAILQ_ENTRY(stream) ready_link;
};

/* Tells the edge that the stream has something. */
void registry_ring(struct stream *stream);

/* Takes the stream off all lists. */
void registry_forget(struct stream *stream);

#endif
