#include "server/services/watches.h"

#include "lib/base/condition.h"
#include "lib/base/util.h"
#include "lib/db/store_container.h"
#include "server/services/process_agent.h"
#include "server/services/standing.h"
#include "server/stream/stream.h"

#include <atoll/container.h>
#include <atoll/log.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <time.h>
#include <unistd.h>

enum {
    QUEUE_BYTES = 32 * 1024, /* of a stream */
    STEPS_A_TURN = 64,       /* events of one stream before the next one's turn */
    EVENTS_A_TURN = 64,
    BEGIN_USEC = 60 * 1000 * 1000, /* a large tree takes its time */
    LOOK_MS = 250,                 /* between two looks at a sandbox whose agent is gone */
    LOOKS_MAX = 120,               /* then its stream is broken */
};

enum step { STEP_MORE, STEP_NEEDS_INPUT, STEP_NEEDS_ROOM, STEP_LOST, STEP_OVER };

/* One stream. One thread at a time has it. */
struct watching {
    struct stream *stream;
    struct agent_watch *watch;
    watch_format format;
    char *folder;
    struct db_scope scope;
    struct id sandbox;
    uint32_t generation;
    char *part; /* formatted, not all of it queued */
    size_t part_size;
    size_t part_used;
    bool is_last;   /* nothing follows the part */
    unsigned looks; /* at the sandbox, since its agent is gone */

    bool is_added;   /* it is known to epoll */
    bool is_blocked; /* waits for room */
    bool is_queued;  /* on the list of those that can go on */
    TAILQ_ENTRY(watching) link;
    TAILQ_ENTRY(watching) turn;
};

TAILQ_HEAD(watching_list, watching);

struct watches {
    struct services *services;
    int epoll;
    int wake;
    atomic_bool woken;
    pthread_t mover;
    pthread_t looker;
    pthread_mutex_t lock; /* over the following */
    pthread_cond_t changed;
    bool stopping;
    struct watching_list arrived; /* for the mover */
    struct watching_list lost;    /* for the looker: their agents are gone */
    /* The mover's alone: */
    struct watching_list all;
    struct watching_list turns;
};

static void watching_free(struct watching *watching)
{
    stream_unref(watching->stream);
    agent_watch_free(watching->watch);
    free(watching->folder);
    free(watching->part);
    free(watching);
}

DEFINE_CLEANUP(struct watching *, watching, watching_free)

/* A stream has room again, or its client has left. */
static void wake(void *user)
{
    struct watches *watches = user;
    uint64_t one = 1;

    if (!atomic_exchange(&watches->woken, true) && write(watches->wake, &one, sizeof(one)) < 0)
        log_error("the thread of watches cannot be woken: %s", strerror(errno));
}

/* --- parts */

static void format_part(struct watching *watching, struct watch_part *part)
{
    part->folder = watching->folder;
    watching->part = watching->format(part, &watching->part_size);
    watching->part_used = 0;
    if (!watching->part) /* memory is short: a stream without it would lie */
        stream_break(watching->stream);
}

static void format_end(struct watching *watching, bool is_removed, enum sandbox_state state)
{
    struct watch_part part = {.is_removed = is_removed, .state = state};

    watching->is_last = true;
    format_part(watching, &part);
}

/* --- the mover */

/* What was formatted goes into the queue. False while some of it is left. */
static bool push_part(struct watching *watching)
{
    size_t left = watching->part_size - watching->part_used;

    if (!watching->part)
        return true;
    watching->part_used +=
        stream_push_some(watching->stream, watching->part + watching->part_used, left);
    if (watching->part_used < watching->part_size)
        return false;
    free(watching->part);
    watching->part = NULL;
    return true;
}

static enum step take_event(struct watching *watching)
{
    struct agent_watch_event event;
    struct watch_part part = {.event = &event};
    struct error err;
    int found = agent_watch_next(watching->watch, &event, &err);

    if (found == 0)
        return agent_watch_lost(watching->watch) ? STEP_LOST : STEP_NEEDS_INPUT;
    if (found < 0) {
        log_debug("a folder cannot be watched on: %s", err.message);
        stream_break(watching->stream);
        return STEP_OVER;
    }
    if (event.is_end)
        format_end(watching, true, SANDBOX_RUNNING);
    else
        format_part(watching, &part);
    return STEP_MORE;
}

static enum step take_step(struct watching *watching)
{
    if (stream_state(watching->stream) != STREAM_OPEN)
        return STEP_OVER;
    if (!push_part(watching))
        return STEP_NEEDS_ROOM;
    if (watching->is_last) {
        stream_finish(watching->stream);
        return STEP_OVER;
    }
    return take_event(watching);
}

static void queue(struct watches *watches, struct watching *watching)
{
    if (watching->is_queued)
        return;
    watching->is_queued = true;
    watching->is_blocked = false;
    TAILQ_INSERT_TAIL(&watches->turns, watching, turn);
}

static void drop(struct watches *watches, struct watching *watching)
{
    TAILQ_REMOVE(&watches->all, watching, link);
    watching_free(watching);
}

/* One event, then no more before it is armed again: what hangs up would be told without end. */
static void arm(struct watches *watches, struct watching *watching)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data.ptr = watching};
    int operation = watching->is_added ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

    if (epoll_ctl(watches->epoll, operation, agent_watch_fd(watching->watch), &event) < 0) {
        stream_break(watching->stream);
        drop(watches, watching);
        return;
    }
    watching->is_added = true;
}

static void hand_over(struct watches *watches, struct watching *watching,
                      struct watching_list *list)
{
    (void)pthread_mutex_lock(&watches->lock);
    TAILQ_INSERT_TAIL(list, watching, link);
    (void)pthread_cond_broadcast(&watches->changed);
    (void)pthread_mutex_unlock(&watches->lock);
}

static void take_turn(struct watches *watches, struct watching *watching)
{
    enum step step = STEP_MORE;

    for (int i = 0; i < STEPS_A_TURN && step == STEP_MORE; i++)
        step = take_step(watching);
    switch (step) {
    case STEP_MORE:
        queue(watches, watching);
        break;
    case STEP_NEEDS_INPUT:
        arm(watches, watching);
        break;
    case STEP_NEEDS_ROOM:
        watching->is_blocked = true;
        break;
    case STEP_LOST:
        TAILQ_REMOVE(&watches->all, watching, link);
        hand_over(watches, watching, &watches->lost);
        break;
    case STEP_OVER:
        drop(watches, watching);
        break;
    }
}

/* Those whose turn it is now; who can go on after it waits for the next round. */
static void take_turns(struct watches *watches)
{
    struct watching_list now = TAILQ_HEAD_INITIALIZER(now);
    struct watching *watching;

    TAILQ_CONCAT(&now, &watches->turns, turn);
    while ((watching = TAILQ_FIRST(&now))) {
        TAILQ_REMOVE(&now, watching, turn);
        watching->is_queued = false;
        take_turn(watches, watching);
    }
}

/* An agent that is gone is noticed when all that it had told is taken. */
static void receive(struct watches *watches, struct watching *watching)
{
    struct error err;

    if (agent_watch_receive(watching->watch, &err) < 0 && !agent_watch_lost(watching->watch)) {
        log_debug("a sandbox's agent cannot be read: %s", err.message);
        stream_break(watching->stream);
    }
    queue(watches, watching);
}

/* What has arrived, has room again, or lost its client. False when it is time to stop. */
static bool look_around(struct watches *watches)
{
    struct watching *watching;
    uint64_t count;
    bool stopping;

    if (read(watches->wake, &count, sizeof(count)) < 0 && errno != EAGAIN)
        log_error("the thread of watches cannot read: %s", strerror(errno));
    atomic_store(&watches->woken, false);
    for (watching = TAILQ_FIRST(&watches->all); watching; watching = TAILQ_NEXT(watching, link)) {
        if (watching->is_blocked || stream_state(watching->stream) != STREAM_OPEN)
            queue(watches, watching);
    }
    (void)pthread_mutex_lock(&watches->lock);
    while ((watching = TAILQ_FIRST(&watches->arrived))) {
        TAILQ_REMOVE(&watches->arrived, watching, link);
        TAILQ_INSERT_TAIL(&watches->all, watching, link);
        queue(watches, watching);
    }
    stopping = watches->stopping;
    (void)pthread_mutex_unlock(&watches->lock);
    return !stopping;
}

static void *move(void *argument)
{
    struct watches *watches = argument;
    struct epoll_event events[EVENTS_A_TURN];
    bool going = true;

    while (going) {
        int timeout = TAILQ_EMPTY(&watches->turns) ? -1 : 0;
        int count = epoll_wait(watches->epoll, events, EVENTS_A_TURN, timeout);

        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr)
                receive(watches, events[i].data.ptr);
            else
                going = look_around(watches);
        }
        take_turns(watches);
    }
    return NULL;
}

/* --- the looker */

/* Whether the sandbox of a lost agent has ended, by its row. */
static bool has_ended(struct watches *watches, const struct watching *watching,
                      enum sandbox_state *ret_state)
{
    _cleanup_(container_record_free) struct container_record record = {.owner = NULL};
    struct error err;

    if (store_container_get(watches->services->db, &watching->scope, &watching->sandbox, &record,
                            &err) < 0) {
        *ret_state = SANDBOX_DELETED;
        return err.code == ERR_NOT_FOUND;
    }
    *ret_state = record.generation == watching->generation ? record.state : SANDBOX_STOPPED;
    return *ret_state != SANDBOX_RUNNING && *ret_state != SANDBOX_PAUSED;
}

/* Looks once. False when it is to be looked at again. */
static bool look(struct watches *watches, struct watching *watching)
{
    bool has_client = stream_state(watching->stream) == STREAM_OPEN;
    enum sandbox_state state;

    if (has_client && has_ended(watches, watching, &state))
        format_end(watching, false, state);
    else if (has_client && ++watching->looks < LOOKS_MAX)
        return false;
    else
        stream_break(watching->stream);
    hand_over(watches, watching, &watches->arrived);
    wake(watches);
    return true;
}

static struct timespec look_time(void)
{
    return condition_time(monotonic_usec() + LOOK_MS * INT64_C(1000));
}

/* Waits for agents to be lost, and a moment more when there are some. False when it is time to
 * stop. */
static bool take_lost(struct watches *watches, bool again, struct watching_list *ret_lost)
{
    struct timespec until = look_time();
    bool stopping;
    int waited = 0;

    (void)pthread_mutex_lock(&watches->lock);
    while (!watches->stopping && waited != ETIMEDOUT && (again || TAILQ_EMPTY(&watches->lost)))
        waited = again ? pthread_cond_timedwait(&watches->changed, &watches->lock, &until)
                       : pthread_cond_wait(&watches->changed, &watches->lock);
    stopping = watches->stopping;
    if (!stopping)
        TAILQ_CONCAT(ret_lost, &watches->lost, link);
    (void)pthread_mutex_unlock(&watches->lock);
    return !stopping;
}

static void *look_after_lost(void *argument)
{
    struct watches *watches = argument;
    struct watching_list lost = TAILQ_HEAD_INITIALIZER(lost);
    struct watching *watching;
    bool again = false;

    while (take_lost(watches, again, &lost)) {
        again = false;
        while ((watching = TAILQ_FIRST(&lost))) {
            TAILQ_REMOVE(&lost, watching, link);
            if (look(watches, watching))
                continue;
            hand_over(watches, watching, &watches->lost);
            again = true;
        }
    }
    return NULL;
}

/* --- start and stop */

static void drop_list(struct watching_list *list)
{
    struct watching *watching;

    while ((watching = TAILQ_FIRST(list))) {
        TAILQ_REMOVE(list, watching, link);
        stream_break(watching->stream);
        watching_free(watching);
    }
}

static void watches_free(struct watches *watches)
{
    drop_list(&watches->all);
    drop_list(&watches->arrived);
    drop_list(&watches->lost);
    if (watches->wake >= 0)
        (void)close(watches->wake);
    if (watches->epoll >= 0)
        (void)close(watches->epoll);
    (void)pthread_cond_destroy(&watches->changed);
    (void)pthread_mutex_destroy(&watches->lock);
    free(watches);
}

static void tell_stop(struct watches *watches)
{
    (void)pthread_mutex_lock(&watches->lock);
    watches->stopping = true;
    (void)pthread_cond_broadcast(&watches->changed);
    (void)pthread_mutex_unlock(&watches->lock);
    atomic_store(&watches->woken, false);
    wake(watches);
}

static int open_descriptors(struct watches *watches, struct error *err)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};

    watches->epoll = epoll_create1(EPOLL_CLOEXEC);
    watches->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (watches->epoll < 0 || watches->wake < 0 ||
        epoll_ctl(watches->epoll, EPOLL_CTL_ADD, watches->wake, &event) < 0)
        return error_set_errno(err, errno, "cannot make the thread of watches");
    return 0;
}

static int start_threads(struct watches *watches, struct error *err)
{
    int failure = pthread_create(&watches->mover, NULL, move, watches);

    if (failure)
        return error_set_errno(err, failure, "cannot start the thread of watches");
    failure = pthread_create(&watches->looker, NULL, look_after_lost, watches);
    if (failure) {
        tell_stop(watches);
        (void)pthread_join(watches->mover, NULL);
        return error_set_errno(err, failure, "cannot start the thread of lost watches");
    }
    return 0;
}

static void init_lock(struct watches *watches)
{
    (void)pthread_mutex_init(&watches->lock, NULL);
    condition_init(&watches->changed);
}

int watches_start(struct services *services, struct watches **ret_watches, struct error *err)
{
    struct watches *watches = calloc(1, sizeof(*watches));

    if (!watches)
        return error_set_errno(err, ENOMEM, "cannot make the thread of watches");
    watches->services = services;
    watches->epoll = watches->wake = -1;
    TAILQ_INIT(&watches->arrived);
    TAILQ_INIT(&watches->lost);
    TAILQ_INIT(&watches->all);
    TAILQ_INIT(&watches->turns);
    init_lock(watches);
    if (open_descriptors(watches, err) < 0 || start_threads(watches, err) < 0) {
        watches_free(watches);
        return -1;
    }
    *ret_watches = watches;
    return 0;
}

void watches_stop(struct watches *watches)
{
    if (!watches)
        return;
    tell_stop(watches);
    (void)pthread_join(watches->mover, NULL);
    (void)pthread_join(watches->looker, NULL);
    watches_free(watches);
}

/* --- a new stream */

static bool may_go_on(void *user)
{
    return standing_is_good(user);
}

static int make_stream(struct services *services, const struct caller *caller,
                       const char *heartbeat, struct stream **ret_stream, struct error *err)
{
    struct standing *standing = malloc(sizeof(*standing));

    if (!standing)
        return error_set(err, ERR_UNAVAILABLE, "there is no memory for a stream");
    if (stream_new(services->streams, QUEUE_BYTES, ret_stream, err) < 0) {
        free(standing);
        return -1;
    }
    *standing = standing_of(services, caller);
    stream_set_guard(*ret_stream, may_go_on, free, standing);
    stream_set_wake(*ret_stream, wake, services->watches);
    stream_set_heartbeat(*ret_stream, heartbeat);
    return 0;
}

static int open_watch(struct services *services, const struct id *sandbox,
                      const struct agent_watch_request *request, struct watching *watching,
                      struct error *err)
{
    _cleanup_(container_record_free) struct container_record record = {.owner = NULL};
    int64_t deadline = monotonic_usec() + BEGIN_USEC;
    struct agent_client *client;

    if (store_container_use(services->db, &watching->scope, sandbox, false, &record, err) < 0)
        return -1;
    if (record.state != SANDBOX_RUNNING)
        return error_set(err, ERR_CONFLICT, "the sandbox is %s: its files cannot be watched",
                         sandbox_state_name(record.state));
    watching->sandbox = record.id;
    watching->generation = record.generation;
    if (process_agent_connect(services, &record.id, record.generation, deadline, &client, err) < 0)
        return -1;
    return agent_watch_begin(client, request, deadline, &watching->watch, err);
}

int watches_begin(struct services *services, const struct caller *caller, const struct id *sandbox,
                  const struct agent_watch_request *request, watch_format format,
                  const char *heartbeat, struct stream **ret_stream, struct error *err)
{
    _cleanup_(cleanup_watching) struct watching *watching = calloc(1, sizeof(*watching));
    struct watches *watches = services->watches;

    if (!watching || !(watching->folder = strdup(request->path)))
        return error_set(err, ERR_UNAVAILABLE, "there is no memory for a stream");
    watching->format = format;
    watching->scope = caller_scope(caller);
    watching->scope.claim = NULL;
    if (open_watch(services, sandbox, request, watching, err) < 0 ||
        make_stream(services, caller, heartbeat, &watching->stream, err) < 0)
        return -1;
    *ret_stream = stream_ref(watching->stream);
    hand_over(watches, TAKE_PTR(watching), &watches->arrived);
    wake(watches);
    return 0;
}
