/* All streams: offers, what is ready, and the thread that asks the guards. See stream.h. */
#include "server/stream/registry.h"

#include "lib/base/condition.h"
#include "lib/base/util.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

TAILQ_HEAD(stream_list, stream);

struct streams {
    struct streams_options options;
    int wake_fd;
    pthread_t keeper;
    bool has_keeper;
    pthread_mutex_t lock; /* over everything below */
    pthread_cond_t stop;
    bool stopping;
    struct stream_list offered; /* the oldest first */
    struct stream_list taken;
    struct stream_list ready;
    size_t taken_count;
};

void registry_ring(struct stream *stream)
{
    struct streams *streams = stream->streams;
    bool first = false;

    if (atomic_exchange(&stream->rung, true))
        return;
    (void)pthread_mutex_lock(&streams->lock);
    if (stream->place == STREAM_TAKEN && !stream->ready) {
        first = TAILQ_EMPTY(&streams->ready);
        stream->ready = true;
        TAILQ_INSERT_TAIL(&streams->ready, stream, ready_link);
    }
    (void)pthread_mutex_unlock(&streams->lock);
    if (first)
        (void)eventfd_write(streams->wake_fd, 1);
}

/* Takes it off the lists. Called with the lock. */
static void unlink_stream(struct streams *streams, struct stream *stream)
{
    if (stream->ready)
        TAILQ_REMOVE(&streams->ready, stream, ready_link);
    stream->ready = false;
    if (stream->place == STREAM_OFFERED)
        TAILQ_REMOVE(&streams->offered, stream, link);
    if (stream->place == STREAM_TAKEN) {
        TAILQ_REMOVE(&streams->taken, stream, link);
        streams->taken_count--;
    }
    stream->place = STREAM_UNKNOWN;
}

void registry_forget(struct stream *stream)
{
    struct streams *streams = stream->streams;

    (void)pthread_mutex_lock(&streams->lock);
    unlink_stream(streams, stream);
    (void)pthread_mutex_unlock(&streams->lock);
}

static int random_id(char id[static STREAM_ID_SIZE], struct error *err)
{
    unsigned char bytes[(STREAM_ID_SIZE - 1) / 2];

    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        return error_set_errno(err, errno, "cannot name a stream");
    for (size_t i = 0; i < sizeof(bytes); i++)
        (void)snprintf(id + 2 * i, 3, "%02x", bytes[i]);
    return 0;
}

int streams_offer(struct streams *streams, struct stream *stream,
                  char ret_id[static STREAM_ID_SIZE], struct error *err)
{
    if (random_id(ret_id, err) < 0)
        return -1;
    (void)stream_ref(stream);
    (void)pthread_mutex_lock(&streams->lock);
    memcpy(stream->id, ret_id, STREAM_ID_SIZE);
    stream->place = STREAM_OFFERED;
    stream->offered_usec = monotonic_usec();
    TAILQ_INSERT_TAIL(&streams->offered, stream, link);
    (void)pthread_mutex_unlock(&streams->lock);
    return 0;
}

int streams_wake_fd(const struct streams *streams)
{
    return streams->wake_fd;
}

void streams_wake_again(struct streams *streams)
{
    (void)eventfd_write(streams->wake_fd, 1);
}

/* Under the lock. */
static struct stream *find_offered(const struct streams *streams, const char *id)
{
    struct stream *stream = TAILQ_FIRST(&streams->offered);

    while (stream && strcmp(stream->id, id) != 0)
        stream = TAILQ_NEXT(stream, link);
    return stream;
}

struct stream *streams_take(struct streams *streams, const char *id, void *owner)
{
    struct stream *stream;

    (void)pthread_mutex_lock(&streams->lock);
    stream = find_offered(streams, id);
    if (stream) {
        TAILQ_REMOVE(&streams->offered, stream, link);
        TAILQ_INSERT_TAIL(&streams->taken, stream, link);
        streams->taken_count++;
        stream->place = STREAM_TAKEN;
        stream->owner = owner;
        /* The edge looks at it now; what comes from here on rings. */
        atomic_store(&stream->rung, false);
    }
    (void)pthread_mutex_unlock(&streams->lock);
    return stream;
}

void *streams_next_ready(struct streams *streams)
{
    struct stream *stream;
    void *owner = NULL;

    (void)pthread_mutex_lock(&streams->lock);
    stream = TAILQ_FIRST(&streams->ready);
    if (stream) {
        TAILQ_REMOVE(&streams->ready, stream, ready_link);
        stream->ready = false;
        owner = stream->owner;
        atomic_store(&stream->rung, false);
    }
    (void)pthread_mutex_unlock(&streams->lock);
    return owner;
}

/* The first offer that is too old, off its list, with the offer's reference. Called with the lock.
 */
static struct stream *stale_offer(struct streams *streams)
{
    struct stream *stream = TAILQ_FIRST(&streams->offered);
    int64_t age = stream ? monotonic_usec() - stream->offered_usec : 0;

    if (!stream || (age < streams->options.offer_ms * INT64_C(1000) && !streams->stopping))
        return NULL;
    unlink_stream(streams, stream);
    return stream;
}

static void withdraw_offers(struct streams *streams)
{
    struct stream *stream;

    do {
        (void)pthread_mutex_lock(&streams->lock);
        stream = stale_offer(streams);
        (void)pthread_mutex_unlock(&streams->lock);
        if (stream)
            stream_abandon(stream);
    } while (stream);
}

/* Those with a guard, each with a reference of its own; the caller's. NULL without memory. */
static struct stream **guarded(struct streams *streams, size_t *ret_count)
{
    struct stream **found;
    struct stream *stream;
    size_t count = 0;

    (void)pthread_mutex_lock(&streams->lock);
    found = calloc(streams->taken_count + 1, sizeof(*found));
    TAILQ_FOREACH(stream, &streams->taken, link)
    if (found && stream->guard)
        found[count++] = stream_ref(stream);
    (void)pthread_mutex_unlock(&streams->lock);
    *ret_count = count;
    return found;
}

static bool is_stopping(struct streams *streams)
{
    bool stopping;

    (void)pthread_mutex_lock(&streams->lock);
    stopping = streams->stopping;
    (void)pthread_mutex_unlock(&streams->lock);
    return stopping;
}

/* Each may take seconds: of many, a stop waits for one. */
static void ask_guards(struct streams *streams)
{
    size_t count;
    struct stream **found = guarded(streams, &count);

    for (size_t i = 0; i < count; i++) {
        if (!is_stopping(streams) && !found[i]->guard(found[i]->guard_user))
            stream_break(found[i]);
        stream_unref(found[i]);
    }
    free(found);
}

/* Until the next round; false when it is time to stop. */
static bool rest(struct streams *streams)
{
    const struct streams_options *options = &streams->options;
    unsigned pause = options->guard_ms < options->offer_ms ? options->guard_ms : options->offer_ms;
    int64_t end = monotonic_usec() + pause * INT64_C(1000);
    struct timespec until = condition_time(end);
    int waited = 0;
    bool stopping;

    (void)pthread_mutex_lock(&streams->lock);
    while (!streams->stopping && waited != ETIMEDOUT)
        waited = pthread_cond_timedwait(&streams->stop, &streams->lock, &until);
    stopping = streams->stopping;
    (void)pthread_mutex_unlock(&streams->lock);
    return !stopping;
}

static void *keep(void *argument)
{
    struct streams *streams = argument;

    while (rest(streams)) {
        withdraw_offers(streams);
        ask_guards(streams);
    }
    withdraw_offers(streams);
    return NULL;
}

static void init(struct streams *streams, const struct streams_options *options)
{
    streams->options = *options;
    TAILQ_INIT(&streams->offered);
    TAILQ_INIT(&streams->taken);
    TAILQ_INIT(&streams->ready);
    (void)pthread_mutex_init(&streams->lock, NULL);
    condition_init(&streams->stop);
}

int streams_create(const struct streams_options *options, struct streams **ret_streams,
                   struct error *err)
{
    struct streams *streams = calloc(1, sizeof(*streams));
    int failure;

    if (!streams)
        return error_set_errno(err, ENOMEM, "cannot make the table of streams");
    streams->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (streams->wake_fd < 0) {
        (void)error_set_errno(err, errno, "cannot make the table of streams");
        free(streams);
        return -1;
    }
    init(streams, options);
    failure = pthread_create(&streams->keeper, NULL, keep, streams);
    if (failure) {
        close(streams->wake_fd);
        free(streams);
        return error_set_errno(err, failure, "cannot start the thread of streams");
    }
    streams->has_keeper = true;
    *ret_streams = streams;
    return 0;
}

void streams_stop(struct streams *streams)
{
    if (!streams || !streams->has_keeper)
        return;
    (void)pthread_mutex_lock(&streams->lock);
    streams->stopping = true;
    (void)pthread_cond_broadcast(&streams->stop);
    (void)pthread_mutex_unlock(&streams->lock);
    (void)pthread_join(streams->keeper, NULL);
    streams->has_keeper = false;
}

void streams_free(struct streams *streams)
{
    if (!streams)
        return;
    streams_stop(streams);
    (void)pthread_cond_destroy(&streams->stop);
    (void)pthread_mutex_destroy(&streams->lock);
    close(streams->wake_fd);
    free(streams);
}
