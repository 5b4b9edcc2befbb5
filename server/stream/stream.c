#include "server/stream/stream.h"

#include "lib/base/condition.h"
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

    if (!stream)
        return error_set(err, ERR_UNAVAILABLE, "there is no memory for a stream");
    stream->streams = streams;
    stream->output.capacity = capacity < STREAM_CAPACITY_MAX ? capacity : STREAM_CAPACITY_MAX;
    atomic_init(&stream->references, 1);
    (void)pthread_mutex_init(&stream->lock, NULL);
    condition_init(&stream->room);
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
    free(stream->output.data);
    free(stream->input.data);
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

void stream_set_wake(struct stream *stream, void (*wake)(void *user), void *user)
{
    stream->wake = wake;
    stream->wake_user = user;
}

void stream_set_input(struct stream *stream, size_t capacity)
{
    stream->input.capacity = capacity < STREAM_CAPACITY_MAX ? capacity : STREAM_CAPACITY_MAX;
}

bool stream_takes_input(const struct stream *stream)
{
    return stream->input.capacity > 0;
}

/* --- rings, under the lock */

static size_t ring_room(const struct stream_ring *ring)
{
    return ring->capacity - ring->used;
}

static bool ring_has_memory(struct stream_ring *ring)
{
    if (!ring->data)
        ring->data = malloc(ring->capacity);
    return ring->data;
}

/* Most streams have nothing to say most of the time. */
static void ring_release(struct stream_ring *ring)
{
    free(ring->data);
    ring->data = NULL;
    ring->first = 0;
}

/* Copies into the ring, which has the room. */
static void ring_put(struct stream_ring *ring, const char *data, size_t size)
{
    size_t at = (ring->first + ring->used) % ring->capacity;
    size_t run = size < ring->capacity - at ? size : ring->capacity - at;

    memcpy(ring->data + at, data, run);
    memcpy(ring->data, data + run, size - run);
    ring->used += size;
}

/* Moves up to `size` bytes out of the ring. */
static size_t ring_take(struct stream_ring *ring, char *data, size_t size)
{
    size_t run;

    size = size < ring->used ? size : ring->used;
    if (size == 0)
        return 0;
    run = size < ring->capacity - ring->first ? size : ring->capacity - ring->first;
    memcpy(data, ring->data + ring->first, run);
    memcpy(data + run, ring->data, size - run);
    ring->first = (ring->first + size) % ring->capacity;
    ring->used -= size;
    if (ring->used == 0)
        ring_release(ring);
    return size;
}

/* True when bytes can be queued: the stream is open and has memory. */
static bool is_usable(struct stream *stream)
{
    return stream->state == STREAM_OPEN && ring_has_memory(&stream->output);
}

/* --- the producer */

bool stream_push(struct stream *stream, const void *data, size_t size)
{
    bool fits;

    (void)pthread_mutex_lock(&stream->lock);
    fits = is_usable(stream) && size <= ring_room(&stream->output);
    if (fits)
        ring_put(&stream->output, data, size);
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
        room = ring_room(&stream->output);
    stream->wanted = room < size;
    room = room < size ? room : size;
    if (room > 0)
        ring_put(&stream->output, data, room);
    (void)pthread_mutex_unlock(&stream->lock);
    if (room > 0)
        registry_ring(stream);
    return room;
}

/* Waits until there is room or the stream has ended. Called with the lock. */
static bool wait_for_room(struct stream *stream, unsigned timeout_ms)
{
    int64_t end = monotonic_usec() + timeout_ms * INT64_C(1000);
    struct timespec until = condition_time(end);
    int waited = 0;

    while (is_usable(stream) && ring_room(&stream->output) == 0 && waited != ETIMEDOUT)
        waited = pthread_cond_timedwait(&stream->room, &stream->lock, &until);
    return is_usable(stream) && ring_room(&stream->output) > 0;
}

bool stream_write(struct stream *stream, const void *data, size_t size, unsigned timeout_ms)
{
    const char *at = data;
    bool fits = true;

    while (size > 0 && fits) {
        size_t piece;

        (void)pthread_mutex_lock(&stream->lock);
        fits = wait_for_room(stream, timeout_ms);
        piece = fits ? ring_room(&stream->output) : 0;
        piece = piece < size ? piece : size;
        if (fits)
            ring_put(&stream->output, at, piece);
        (void)pthread_mutex_unlock(&stream->lock);
        if (fits)
            registry_ring(stream);
        at += piece;
        size -= piece;
    }
    return fits;
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

/* --- the edge */

size_t stream_read(struct stream *stream, void *data, size_t size, enum stream_state *ret_state)
{
    struct stream_ring *output = &stream->output;
    bool wanted;

    (void)pthread_mutex_lock(&stream->lock);
    size = ring_take(output, data, size);
    if (size > 0)
        (void)pthread_cond_broadcast(&stream->room);
    *ret_state = output->used == 0 ? stream->state : STREAM_OPEN;
    wanted = stream->wanted && output->used <= output->capacity / 2;
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
    if (end(stream, STREAM_GONE) && stream->wake)
        stream->wake(stream->wake_user);
    stream_unref(stream);
}

/* --- the second direction */

size_t stream_feed(struct stream *stream, const void *data, size_t size)
{
    struct stream_ring *input = &stream->input;
    size_t room = 0;

    (void)pthread_mutex_lock(&stream->lock);
    if (stream->state == STREAM_OPEN && input->capacity > 0 && ring_has_memory(input))
        room = ring_room(input);
    stream->input_wanted = room < size;
    room = room < size ? room : size;
    if (room > 0)
        ring_put(input, data, room);
    (void)pthread_mutex_unlock(&stream->lock);
    if (room > 0 && stream->wake)
        stream->wake(stream->wake_user);
    return room;
}

size_t stream_receive(struct stream *stream, void *data, size_t size)
{
    bool wanted;

    (void)pthread_mutex_lock(&stream->lock);
    size = ring_take(&stream->input, data, size);
    wanted = stream->input_wanted && stream->input.used <= stream->input.capacity / 2;
    if (wanted)
        stream->input_wanted = false;
    (void)pthread_mutex_unlock(&stream->lock);
    if (wanted)
        registry_ring(stream);
    return size;
}

bool stream_has_received(struct stream *stream)
{
    bool received;

    (void)pthread_mutex_lock(&stream->lock);
    received = stream->input.used > 0;
    (void)pthread_mutex_unlock(&stream->lock);
    return received;
}
