#include "server/services/events.h"

#include "lib/base/condition.h"
#include "lib/base/util.h"
#include "server/services/standing.h"
#include "server/stream/stream.h"

#include <atoll/log.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

enum {
    QUEUE_BYTES = 32 * 1024, /* of a stream */
    LOOK_MS = 500,
    LOOK_COUNT = 50, /* events that one look takes for one stream */
};

/* One stream and where it has come to. */
struct follow {
    struct stream *stream;
    struct db_scope scope;
    struct store_event_filter filter;
    struct id sandbox; /* what the filter points to */
    char *kind;
    struct store_event_place place;
    event_format format;
    TAILQ_ENTRY(follow) link;
};

TAILQ_HEAD(follow_list, follow);

struct event_follower {
    struct services *services;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stopping;
    struct follow_list arrived; /* the thread has not seen them */
};

static void follow_free(struct follow *follow)
{
    stream_unref(follow->stream);
    free(follow->kind);
    free(follow);
}

DEFINE_CLEANUP(struct follow *, follow, follow_free)

/* False when the stream's queue is full: the event is read again when there is room. */
static bool push_event(struct follow *follow, const struct store_event *event)
{
    _cleanup_free_ char *text = follow->format(event);
    size_t size = text ? strlen(text) : 0;

    if (!text || size > QUEUE_BYTES) {
        stream_break(follow->stream);
        return false;
    }
    return stream_push(follow->stream, text, size);
}

/* Looks once for one stream; sets *inout_more when there is more to look at. */
static int look(struct db_pool *db, struct follow *follow, bool *inout_more, struct error *err)
{
    _cleanup_(store_events_free) struct store_events events = {.owner = NULL};
    struct store_event_place before = follow->place;
    bool more;

    if (store_event_follow(db, &follow->scope, &follow->filter, &follow->place, LOOK_COUNT, &events,
                           &more, err) < 0)
        return -1;
    for (size_t i = 0; i < events.count; i++) {
        if (!push_event(follow, &events.items[i])) {
            follow->place = i > 0 ? events.items[i - 1].place : before;
            return 0;
        }
    }
    if (more)
        *inout_more = true;
    return 0;
}

/* Looks for all of them; drops those whose client has gone. True when there was more to read. */
static bool look_for_all(struct db_pool *db, struct follow_list *follows)
{
    struct follow *follow = TAILQ_FIRST(follows);
    bool more = false;

    while (follow) {
        struct follow *next = TAILQ_NEXT(follow, link);
        struct error err;

        if (stream_state(follow->stream) != STREAM_OPEN) {
            TAILQ_REMOVE(follows, follow, link);
            follow_free(follow);
        } else if (look(db, follow, &more, &err) < 0) {
            log_debug("events cannot be read: %s", err.message);
        }
        follow = next;
    }
    return more;
}

/* Until the next look; takes the streams that have arrived. False when it is time to stop. */
static bool rest(struct event_follower *follower, struct follow_list *follows, bool more)
{
    int64_t end = monotonic_usec() + LOOK_MS * INT64_C(1000);
    struct timespec until = condition_time(end);
    int waited = more ? ETIMEDOUT : 0;
    bool stopping;

    (void)pthread_mutex_lock(&follower->lock);
    while (!follower->stopping && TAILQ_EMPTY(&follower->arrived) && waited != ETIMEDOUT)
        waited = TAILQ_EMPTY(follows)
                     ? pthread_cond_wait(&follower->changed, &follower->lock)
                     : pthread_cond_timedwait(&follower->changed, &follower->lock, &until);
    TAILQ_CONCAT(follows, &follower->arrived, link);
    stopping = follower->stopping;
    (void)pthread_mutex_unlock(&follower->lock);
    return !stopping;
}

static void *run(void *argument)
{
    struct event_follower *follower = argument;
    struct follow_list follows = TAILQ_HEAD_INITIALIZER(follows);
    struct follow *follow;
    bool more = false;

    while (rest(follower, &follows, more))
        more = look_for_all(follower->services->db, &follows);
    while ((follow = TAILQ_FIRST(&follows))) {
        TAILQ_REMOVE(&follows, follow, link);
        stream_break(follow->stream);
        follow_free(follow);
    }
    return NULL;
}

int event_follower_start(struct services *services, struct event_follower **ret_follower,
                         struct error *err)
{
    struct event_follower *follower = calloc(1, sizeof(*follower));
    int failure;

    if (!follower)
        return error_set_errno(err, ENOMEM, "cannot follow events");
    follower->services = services;
    TAILQ_INIT(&follower->arrived);
    (void)pthread_mutex_init(&follower->lock, NULL);
    condition_init(&follower->changed);
    failure = pthread_create(&follower->thread, NULL, run, follower);
    if (failure) {
        free(follower);
        return error_set_errno(err, failure, "cannot start the thread of events");
    }
    *ret_follower = follower;
    return 0;
}

void event_follower_stop(struct event_follower *follower)
{
    if (!follower)
        return;
    (void)pthread_mutex_lock(&follower->lock);
    follower->stopping = true;
    (void)pthread_cond_broadcast(&follower->changed);
    (void)pthread_mutex_unlock(&follower->lock);
    (void)pthread_join(follower->thread, NULL);
    (void)pthread_cond_destroy(&follower->changed);
    (void)pthread_mutex_destroy(&follower->lock);
    free(follower);
}

int events_list(struct services *services, const struct caller *caller,
                const struct store_event_filter *filter, const struct store_event_place *before,
                uint32_t limit, struct store_events *ret_events, bool *ret_more,
                struct store_event_place *ret_next, struct error *err)
{
    const struct db_scope scope = caller_scope(caller);

    return store_event_list(services->db, &scope, filter, before, limit, ret_events, ret_more,
                            ret_next, err);
}

/* Fills what a look needs of the request, which will be gone by then. */
static int copy_request(struct follow *follow, const struct caller *caller,
                        const struct store_event_filter *filter, struct error *err)
{
    follow->scope = caller_scope(caller);
    follow->scope.claim = NULL;
    follow->filter = *filter;
    if (filter->sandbox) {
        follow->sandbox = *filter->sandbox;
        follow->filter.sandbox = &follow->sandbox;
    }
    if (filter->kind) {
        follow->kind = strdup(filter->kind);
        follow->filter.kind = follow->kind;
        if (!follow->kind)
            return error_set(err, ERR_UNAVAILABLE, "there is no memory for a stream");
    }
    return 0;
}

int events_follow(struct services *services, const struct caller *caller,
                  const struct store_event_filter *filter, const struct store_event_place *after,
                  event_format format, struct stream **ret_stream, struct error *err)
{
    struct event_follower *follower = services->event_follower;
    _cleanup_(cleanup_follow) struct follow *follow = calloc(1, sizeof(*follow));

    if (!follow)
        return error_set(err, ERR_UNAVAILABLE, "there is no memory for a stream");
    if (after)
        follow->place = *after;
    if (!after && store_event_now(services->db, &follow->place, err) < 0)
        return -1;
    if (copy_request(follow, caller, filter, err) < 0 ||
        standing_stream(services, caller, QUEUE_BYTES, ": heartbeat\n\n", &follow->stream, err) < 0)
        return -1;
    follow->format = format;
    *ret_stream = stream_ref(follow->stream);
    (void)pthread_mutex_lock(&follower->lock);
    TAILQ_INSERT_TAIL(&follower->arrived, follow, link);
    (void)pthread_cond_broadcast(&follower->changed);
    (void)pthread_mutex_unlock(&follower->lock);
    follow = NULL;
    return 0;
}
