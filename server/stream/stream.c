#include "server/stream/stream.h"

#include "lib/base/util.h"
#include "server/stream/registry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int stream_new(struct streams *streams, size_t capacity, struct stream **ret_stream,
               struct error *err)
{
    struct stream *stream = calloc(1, sizeof(*stream));
    pthread_condattr_t attributes;

    if (!stream)
        return error_set(err, ERR_UNAVAILABLE, "there is no memory for a stream");
    stream->streams = streams;
    stream->capacity = capacity < STREAM_CAPACITY_MAX ? capacity : STREAM_CAPACITY_MAX;
    atomic_init(&stream->references, 1);
    (void)pthread_mutex_init(&stream->lock, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&stream->room, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    *ret_stream = stream;
    return 0;
}

struct stream *stream_ref(struct stream *stream)
{
    atomic_fetch_add(&stream->references, 1);
    return stream;
}

void stream_unref(struct stream *stream)
{
    if (!stream || atomic_fetch_sub(&stream->references, 1) > 1)
        return;
    if (stream->release)
        stream->release(stream->guard_user);
    (void)pthread_cond_destroy(&stream->room);
    (void)pthread_mutex_destroy(&stream->lock);
    free(stream->ring);
    free(stream);
}

void stream_set_heartbeat(struct stream *stream, const char *text)
{
    stream->heartbeat = text;
}

const char *stream_heartbeat(const struct stream *stream)
{
    return stream->heartbeat;
}

void stream_set_guard(struct stream *stream, bool (*guard)(void *user), void (*release)(void *user),
                      void *user)
{
    stream->guard = guard;
    stream->release = release;
    stream->guard_user = user;
}

void stream_set_gone(struct stream *stream, void (*gone)(void *user), void *user)
{
    stream->gone = gone;
    stream->gone_user = user;
}

void stream_set_wake(struct stream *stream, void (*wake)(void *user), void *user)
{
    stream->wake = wake;
    stream->wake_user = user;
}

/* Copies into the ring, which has the room. Called with the lock. */
static void append(struct stream *stream, const char *data, size_t size)
{
    size_t at = (stream->first + stream->used) % stream->capacity;
    size_t run = size < stream->capacity - at ? size : stream->capacity - at;

    memcpy(stream->ring + at, data, run);
    memcpy(stream->ring, data + run, size - run);
    stream->used += size;
}

/* True when bytes can be queued: the stream is open and has memory. Called with the lock. */
static bool is_usable(struct stream *stream)
{
    if (stream->state != STREAM_OPEN)
        return false;
    if (!stream->ring)
        stream->ring = malloc(stream->capacity);
    return stream->ring;
}

bool stream_push(struct stream *stream, const void *data, size_t size)
{
    bool fits;

    (void)pthread_mutex_lock(&stream->lock);
    fits = is_usable(stream) && size <= stream->capacity - stream->used;
    if (fits)
        append(stream, data, size);
    (void)pthread_mutex_unlock(&stream->lock);
    if (fits && size > 0)
        registry_ring(stream);
    return fits;
}

size_t stream_push_some(struct stream *stream, const void *data, size_t size)
{
    size_t room = 0;

    (void)pthread_mutex_lock(&stream->lock);
    if (is_usable(stream))
        room = stream->capacity - stream->used;
    stream->wanted = room < size;
    room = room < size ? room : size;
    if (room > 0)
        append(stream, data, room);
    (void)pthread_mutex_unlock(&stream->lock);
    if (room > 0)
        registry_ring(stream);
    return room;
}

/* Waits until there is room or the stream has ended. Called with the lock. */
static bool wait_for_room(struct stream *stream, unsigned timeout_ms)
{
    int64_t end = monotonic_usec() + timeout_ms * INT64_C(1000);
    struct timespec until = {.tv_sec = end / 1000000, .tv_nsec = (end % 1000000) * 1000};
    int waited = 0;

    while (is_usable(stream) && stream->used == stream->capacity && waited != ETIMEDOUT)
        waited = pthread_cond_timedwait(&stream->room, &stream->lock, &until);
    return is_usable(stream) && stream->used < stream->capacity;
}

bool stream_write(struct stream *stream, const void *data, size_t size, unsigned timeout_ms)
{
    const char *at = data;
    bool fits = true;

    while (size > 0 && fits) {
        size_t piece;

        (void)pthread_mutex_lock(&stream->lock);
        fits = wait_for_room(stream, timeout_ms);
        piece = fits ? stream->capacity - stream->used : 0;
        piece = piece < size ? piece : size;
        if (fits)
            append(stream, at, piece);
        (void)pthread_mutex_unlock(&stream->lock);
        if (fits)
            registry_ring(stream);
        at += piece;
        size -= piece;
    }
    return fits;
}

size_t stream_room(struct stream *stream)
{
    size_t room;

    (void)pthread_mutex_lock(&stream->lock);
    room = stream->state == STREAM_OPEN ? stream->capacity - stream->used : 0;
    (void)pthread_mutex_unlock(&stream->lock);
    return room;
}

/* The first end counts. True when this was it. */
static bool end(struct stream *stream, enum stream_state state)
{
    bool first;

    (void)pthread_mutex_lock(&stream->lock);
    first = stream->state == STREAM_OPEN;
    if (first)
        stream->state = state;
    (void)pthread_cond_broadcast(&stream->room);
    (void)pthread_mutex_unlock(&stream->lock);
    return first;
}

void stream_finish(struct stream *stream)
{
    if (end(stream, STREAM_DONE))
        registry_ring(stream);
}

void stream_break(struct stream *stream)
{
    if (end(stream, STREAM_BROKEN))
        registry_ring(stream);
}

enum stream_state stream_state(struct stream *stream)
{
    enum stream_state state;

    (void)pthread_mutex_lock(&stream->lock);
    state = stream->state;
    (void)pthread_mutex_unlock(&stream->lock);
    return state;
}

size_t stream_read(struct stream *stream, void *data, size_t size, enum stream_state *ret_state)
{
    bool wanted;
    size_t run;

    (void)pthread_mutex_lock(&stream->lock);
    size = size < stream->used ? size : stream->used;
    run = size < stream->capacity - stream->first ? size : stream->capacity - stream->first;
    if (size > 0) {
        memcpy(data, stream->ring + stream->first, run);
        memcpy((char *)data + run, stream->ring, size - run);
        stream->first = (stream->first + size) % stream->capacity;
        stream->used -= size;
        (void)pthread_cond_broadcast(&stream->room);
    }
    *ret_state = stream->used == 0 ? stream->state : STREAM_OPEN;
    wanted = stream->wanted && stream->used <= stream->capacity / 2;
    if (wanted)
        stream->wanted = false;
    (void)pthread_mutex_unlock(&stream->lock);
    if (wanted && stream->wake)
        stream->wake(stream->wake_user);
    return size;
}

void stream_abandon(struct stream *stream)
{
    registry_forget(stream);
    if (end(stream, STREAM_GONE)) {
        if (stream->gone)
            stream->gone(stream->gone_user);
        if (stream->wake)
            stream->wake(stream->wake_user);
    }
    stream_unref(stream);
}
