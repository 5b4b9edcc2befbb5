#include "server/services/attach.h"

#include "lib/base/condition.h"
#include "lib/base/util.h"
#include "server/services/activity.h"
#include "server/services/attach_socket.h"
#include "server/services/attach_source.h"
#include "server/services/process_agent.h"
#include "server/services/standing.h"
#include "server/stream/stream.h"

#include <atoll/log.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>

enum {
    QUEUE_BYTES = 32 * 1024, /* of a stream */
    INPUT_BYTES = 8 * 1024,  /* of what the client of a WebSocket has sent */
    PIECE_BYTES = 8 * 1024,  /* of output in one part */
    STEPS_A_TURN = 16,       /* parts of one stream before the next one's turn */
    EVENTS_A_TURN = 64,
    KILL_MS = 2000,
    RECORD_ATTEMPTS = 10,         /* of an end, a second apart, before its streams are broken */
    LOOK_FIRST_USEC = 100 * 1000, /* for the end of a main command; each pause twice the last, */
    LOOK_LAST_USEC = 1000 * 1000, /* up to this */
};

enum step { STEP_MORE, STEP_NEEDS_INPUT, STEP_NEEDS_ROOM, STEP_ENDED, STEP_OVER };

/* What the guard of a stream asks about; whoever follows uses the sandbox. */
struct follower {
    struct standing standing;
    struct id sandbox;
    bool is_socket;
    atomic_bool beat;    /* of a WebSocket: its client shall be asked whether he is there */
    atomic_bool refused; /* he may not go on */
};

/* One stream, and how far it has come. One thread at a time has it. */
struct follow {
    struct stream *stream;
    struct follower *follower; /* the stream's */
    struct attach_source *source;
    struct attach_socket *socket; /* NULL: it is no WebSocket */
    attach_format format;
    void *user;
    void (*release)(void *user);
    struct db_scope scope;
    struct store_process row; /* without strings */
    struct agent_attach_event event;
    size_t event_used; /* bytes of the event that were formatted */
    bool has_event;
    char *part; /* formatted, not all of it queued */
    enum attach_part_kind part_kind;
    size_t part_size;
    size_t part_used;
    bool is_last; /* nothing follows the part */
    bool kill_when_gone;
    bool is_orphan;          /* its client has left: the process is to be killed */
    bool is_main;            /* of a main command, whose end others record: */
    bool is_patient;         /* that is waited for, */
    int64_t look_usec;       /* monotonic: looked for at this time, */
    int64_t look_pause_usec; /* so long after the last */

    bool is_added;   /* it is known to epoll */
    bool is_armed;   /* all that had been received was taken, and more is waited for */
    bool is_blocked; /* waits for room */
    bool is_queued;  /* on the list of those that can go on */
    TAILQ_ENTRY(follow) link;
    TAILQ_ENTRY(follow) turn;
};

TAILQ_HEAD(follow_list, follow);

struct attach {
    struct services *services;
    int epoll;
    int wake;
    atomic_bool woken;
    pthread_t mover;
    pthread_t recorder;
    pthread_mutex_t lock; /* over the following */
    pthread_cond_t changed;
    bool stopping;
    struct follow_list arrived; /* for the mover */
    struct follow_list ended;   /* for the recorder */
    struct follow_list awaited; /* the recorder's alone: ends that others record */
    /* The mover's alone: */
    struct follow_list all;
    struct follow_list turns;
};

static void follow_free(struct follow *follow)
{
    attach_socket_free(follow->socket);
    stream_unref(follow->stream);
    attach_source_free(follow->source);
    if (follow->release)
        follow->release(follow->user);
    free(follow->part);
    free(follow);
}

DEFINE_CLEANUP(struct follow *, follow, follow_free)

/* A stream has room again, or its client has left. */
static void wake(void *user)
{
    struct attach *attach = user;
    uint64_t one = 1;

    if (!atomic_exchange(&attach->woken, true) && write(attach->wake, &one, sizeof(one)) < 0)
        log_error("the thread of streams cannot be woken: %s", strerror(errno));
}

/* --- parts */

/* Up to a piece of the event, not cut within a character of UTF-8 if that can be avoided. */
static size_t piece_size(const struct follow *follow)
{
    const char *bytes = (const char *)follow->event.bytes + follow->event_used;
    size_t left = follow->event.size - follow->event_used;
    size_t size = PIECE_BYTES;

    if (left <= PIECE_BYTES)
        return left;
    while (size > PIECE_BYTES - 4 && ((unsigned char)bytes[size] & 0xc0u) == 0x80u)
        size--;
    return size;
}

/* The client learns that the rest is missing. */
static void fail(struct follow *follow, const char *reason)
{
    if (follow->socket)
        attach_socket_close(follow->socket, WEBSOCKET_FAILED, reason);
    else
        stream_break(follow->stream);
}

static void format_part(struct follow *follow, const struct attach_part *part)
{
    follow->part = follow->format(part, &follow->part_size);
    follow->part_used = 0;
}

static void format_piece(struct follow *follow)
{
    size_t size = piece_size(follow);
    const struct attach_part part = {
        .kind = ATTACH_OUTPUT,
        .row = &follow->row,
        .stream = follow->event.stream,
        .offset = follow->event.offset + follow->event_used,
        .gap = follow->event_used == 0 ? follow->event.gap : 0,
        .time_usec = follow->event.time_usec,
        .bytes = (const char *)follow->event.bytes + follow->event_used,
        .size = size,
        .user = follow->user,
    };

    format_part(follow, &part);
    if (!follow->part) /* memory is short: a stream without these bytes would lie */
        fail(follow, "there is no memory for the output");
    follow->part_kind = ATTACH_OUTPUT;
    follow->event_used += size;
    follow->has_event = follow->event_used < follow->event.size;
}

/* The exit, with what the row says of it. */
static void format_exit(struct follow *follow)
{
    const struct attach_part part = {
        .kind = ATTACH_EXIT,
        .row = &follow->row,
        .offset = follow->event.offset,
        .user = follow->user,
    };

    follow->is_last = true;
    follow->part_kind = ATTACH_EXIT;
    if (follow->row.state != PROCESS_RUNNING)
        format_part(follow, &part);
}

/* --- the mover */

static bool push_message(struct follow *follow)
{
    if (follow->part)
        attach_socket_send(follow->socket, follow->part_kind, follow->part, follow->part_size);
    free(follow->part);
    follow->part = NULL;
    return attach_socket_flush(follow->socket);
}

/* What was formatted goes into the queue. False while some of it is left. */
static bool push_part(struct follow *follow)
{
    size_t left = follow->part_size - follow->part_used;

    if (follow->socket)
        return push_message(follow);
    if (!follow->part)
        return true;
    follow->part_used += stream_push_some(follow->stream, follow->part + follow->part_used, left);
    if (follow->part_used < follow->part_size)
        return false;
    free(follow->part);
    follow->part = NULL;
    return true;
}

static enum step take_event(struct follow *follow)
{
    uint64_t end = follow->event.offset + follow->event.size;
    struct error err;
    int found = attach_source_next(follow->source, &follow->event, &err);

    if (found == 0) {
        follow->event = (struct agent_attach_event){.offset = end};
        return STEP_NEEDS_INPUT;
    }
    if (found < 0) {
        log_debug("a process's output cannot be read on: %s", err.message);
        fail(follow, "the output cannot be read on");
        return STEP_MORE;
    }
    if (follow->event.kind == AGENT_ATTACH_DONE) {
        follow->event.offset = end;
        follow->event.size = 0;
        return STEP_ENDED;
    }
    follow->has_event = true;
    follow->event_used = 0;
    return STEP_MORE;
}

static enum step finish(struct follow *follow)
{
    if (follow->socket && !attach_socket_is_closing(follow->socket)) {
        attach_socket_close(follow->socket, WEBSOCKET_NORMAL, "that was all");
        return STEP_MORE;
    }
    stream_finish(follow->stream);
    return STEP_OVER;
}

/* The guard has looked at the client of a WebSocket. */
static void take_beat(struct follow *follow)
{
    if (atomic_load(&follow->follower->refused))
        attach_socket_close(follow->socket, WEBSOCKET_POLICY, "the token is not good any more");
    else if (atomic_exchange(&follow->follower->beat, false) && !attach_socket_beat(follow->socket))
        stream_break(follow->stream);
}

/* The client's side of a WebSocket. True when there is more of it. */
static bool step_socket(struct follow *follow)
{
    if (!follow->socket)
        return false;
    take_beat(follow);
    return attach_socket_step(follow->socket);
}

static enum step take_step(struct follow *follow)
{
    bool more = step_socket(follow);
    enum step step = STEP_MORE;

    if (stream_state(follow->stream) != STREAM_OPEN)
        return STEP_OVER;
    if (!push_part(follow))
        return STEP_NEEDS_ROOM;
    if (follow->is_last || (follow->socket && attach_socket_is_closing(follow->socket)))
        return finish(follow);
    if (follow->has_event)
        format_piece(follow);
    else
        step = take_event(follow);
    return step == STEP_NEEDS_INPUT && more ? STEP_MORE : step;
}

static void queue(struct attach *attach, struct follow *follow)
{
    if (follow->is_queued)
        return;
    follow->is_queued = true;
    follow->is_blocked = false;
    TAILQ_INSERT_TAIL(&attach->turns, follow, turn);
}

static void drop(struct attach *attach, struct follow *follow)
{
    TAILQ_REMOVE(&attach->all, follow, link);
    follow_free(follow);
}

/* One event, then no more before it is armed again: what hangs up would be told without end. */
static void arm(struct attach *attach, struct follow *follow)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data.ptr = follow};
    int operation = follow->is_added ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

    if (epoll_ctl(attach->epoll, operation, attach_source_fd(follow->source), &event) < 0) {
        stream_break(follow->stream);
        drop(attach, follow);
        return;
    }
    follow->is_added = true;
    follow->is_armed = true;
}

/* Another thread will have it: nothing of it may be told to this one. */
static void disarm(struct attach *attach, struct follow *follow)
{
    if (follow->socket)
        attach_socket_detach(follow->socket);
    if (follow->is_added)
        (void)epoll_ctl(attach->epoll, EPOLL_CTL_DEL, attach_source_fd(follow->source), NULL);
    follow->is_added = follow->is_armed = false;
}

static void hand_over(struct attach *attach, struct follow *follow, struct follow_list *list)
{
    (void)pthread_mutex_lock(&attach->lock);
    TAILQ_INSERT_TAIL(list, follow, link);
    (void)pthread_cond_broadcast(&attach->changed);
    (void)pthread_mutex_unlock(&attach->lock);
}

/* All output is there. An end that is not the row's yet is recorded first. */
static void end_output(struct attach *attach, struct follow *follow)
{
    if (follow->row.state == PROCESS_RUNNING &&
        follow->event.process.state == AGENT_PROCESS_ENDED) {
        disarm(attach, follow);
        TAILQ_REMOVE(&attach->all, follow, link);
        hand_over(attach, follow, &attach->ended);
        return;
    }
    format_exit(follow);
    queue(attach, follow);
}

/* What dies with its client is killed by the other thread: the agent may let it wait. */
static void end_stream(struct attach *attach, struct follow *follow)
{
    follow->is_orphan =
        follow->kill_when_gone && !follow->is_last && stream_state(follow->stream) == STREAM_GONE;
    if (!follow->is_orphan) {
        drop(attach, follow);
        return;
    }
    disarm(attach, follow);
    TAILQ_REMOVE(&attach->all, follow, link);
    hand_over(attach, follow, &attach->ended);
}

static void take_turn(struct attach *attach, struct follow *follow)
{
    enum step step = STEP_MORE;

    for (int i = 0; i < STEPS_A_TURN && step == STEP_MORE; i++)
        step = take_step(follow);
    switch (step) {
    case STEP_MORE:
        queue(attach, follow);
        break;
    case STEP_NEEDS_INPUT:
        arm(attach, follow);
        break;
    case STEP_NEEDS_ROOM:
        follow->is_blocked = true;
        break;
    case STEP_ENDED:
        end_output(attach, follow);
        break;
    case STEP_OVER:
        end_stream(attach, follow);
        break;
    }
}

/* Those whose turn it is now; who can go on after it waits for the next round. */
static void take_turns(struct attach *attach)
{
    struct follow_list now = TAILQ_HEAD_INITIALIZER(now);
    struct follow *follow;

    TAILQ_CONCAT(&now, &attach->turns, turn);
    while ((follow = TAILQ_FIRST(&now))) {
        TAILQ_REMOVE(&now, follow, turn);
        follow->is_queued = false;
        take_turn(attach, follow);
    }
}

/* Of the source, or of what a WebSocket's client does to the process. */
static void receive(struct attach *attach, struct follow *follow)
{
    struct error err;

    if (follow->is_armed && attach_source_receive(follow->source, &err) < 0) {
        log_debug("a sandbox's agent is gone: %s", err.message);
        fail(follow, "the sandbox is gone");
    }
    follow->is_armed = false;
    queue(attach, follow);
}

/* Whether there is a reason to look at it that no descriptor tells. */
static bool has_news(const struct follow *follow)
{
    return follow->is_blocked || stream_state(follow->stream) != STREAM_OPEN ||
           (follow->socket &&
            (stream_has_received(follow->stream) || atomic_load(&follow->follower->beat) ||
             atomic_load(&follow->follower->refused)));
}

/* What has arrived, has room again, or lost its client. False when it is time to stop. */
static bool look_around(struct attach *attach)
{
    struct follow *follow;
    uint64_t count;
    bool stopping;

    if (read(attach->wake, &count, sizeof(count)) < 0 && errno != EAGAIN)
        log_error("the thread of streams cannot read: %s", strerror(errno));
    atomic_store(&attach->woken, false);
    for (follow = TAILQ_FIRST(&attach->all); follow; follow = TAILQ_NEXT(follow, link)) {
        if (has_news(follow))
            queue(attach, follow);
    }
    (void)pthread_mutex_lock(&attach->lock);
    while ((follow = TAILQ_FIRST(&attach->arrived))) {
        TAILQ_REMOVE(&attach->arrived, follow, link);
        TAILQ_INSERT_TAIL(&attach->all, follow, link);
        if (follow->socket)
            attach_socket_watch(follow->socket, attach->epoll, follow);
        queue(attach, follow);
    }
    stopping = attach->stopping;
    (void)pthread_mutex_unlock(&attach->lock);
    return !stopping;
}

static void *move(void *argument)
{
    struct attach *attach = argument;
    struct epoll_event events[EVENTS_A_TURN];
    bool going = true;

    while (going) {
        int timeout = TAILQ_EMPTY(&attach->turns) ? -1 : 0;
        int count = epoll_wait(attach->epoll, events, EVENTS_A_TURN, timeout);

        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr)
                receive(attach, events[i].data.ptr);
            else
                going = look_around(attach);
        }
        take_turns(attach);
    }
    return NULL;
}

/* --- the recorder */

/* When the first of the awaited ends is to be looked for; INT64_MAX: there is none. */
static int64_t next_look(const struct attach *attach)
{
    const struct follow *follow;
    int64_t next = INT64_MAX;

    for (follow = TAILQ_FIRST(&attach->awaited); follow; follow = TAILQ_NEXT(follow, link))
        if (follow->look_usec < next)
            next = follow->look_usec;
    return next;
}

/* False when nothing came before it is time to look. Called with the lock. */
static bool wait_for_ended(struct attach *attach, int64_t look_usec)
{
    const struct timespec until = condition_time(look_usec);
    int failure = 0;

    while (!attach->stopping && TAILQ_EMPTY(&attach->ended) && failure == 0)
        failure = look_usec == INT64_MAX
                      ? pthread_cond_wait(&attach->changed, &attach->lock)
                      : pthread_cond_timedwait(&attach->changed, &attach->lock, &until);
    return !attach->stopping && !TAILQ_EMPTY(&attach->ended);
}

/* False when it is time to stop. NULL in *ret_follow: it is time to look for awaited ends. */
static bool next_ended(struct attach *attach, struct follow **ret_follow)
{
    int64_t look_usec = next_look(attach);
    bool going;

    *ret_follow = NULL;
    (void)pthread_mutex_lock(&attach->lock);
    if (wait_for_ended(attach, look_usec)) {
        *ret_follow = TAILQ_FIRST(&attach->ended);
        TAILQ_REMOVE(&attach->ended, *ret_follow, link);
    }
    going = !attach->stopping;
    (void)pthread_mutex_unlock(&attach->lock);
    return going;
}

/* *ret_found is false for one that has no row (any more). */
static int record(struct attach *attach, const struct follow *follow,
                  const struct store_process_end *end, bool *ret_found, struct error *err)
{
    int status = -1;

    for (int i = 0; i < RECORD_ATTEMPTS && status < 0; i++) {
        status = store_process_end(attach->services->db, &follow->scope, end, ret_found, err);
        if (status < 0 && (err->code != ERR_UNAVAILABLE || sleep(1) > 0))
            return -1;
    }
    return status;
}

/* What the row has now, for the exit. */
static void take_end(struct store_process *row, const struct store_process_end *end)
{
    row->state = end->state;
    row->exit_code = end->exit_code;
    row->signal = end->signal;
    row->timed_out = end->timed_out;
    row->truncated = end->truncated;
    row->ended_usec = end->ended_usec;
    row->cpu_usec = end->cpu_usec;
    row->memory_peak_bytes = end->memory_peak_bytes;
    row->wall_usec = end->wall_usec;
}

/* Back to the mover, which sends what is known of the end. */
static void tell_end(struct attach *attach, struct follow *follow)
{
    format_exit(follow);
    hand_over(attach, follow, &attach->arrived);
    wake(attach);
}

static void record_end(struct attach *attach, struct follow *follow)
{
    const struct store_process_end end = process_end_of(&follow->event.process);
    struct error err;
    bool found = false;

    if (record(attach, follow, &end, &found, &err) < 0) {
        log_error("the end of a process cannot be recorded: %s", err.message);
        fail(follow, "the end cannot be recorded");
    } else if (found) {
        take_end(&follow->row, &end);
    }
    tell_end(attach, follow);
}

/*
 * The end of a main command is recorded with the stop of its sandbox, by whoever stops that: until
 * then it may not be told. Where PostgreSQL does not answer, nothing is known of it.
 */
static bool is_main_recorded(struct attach *attach, const struct follow *follow)
{
    _cleanup_(store_process_free) struct store_process row = {.owner = NULL};
    struct error err;

    if (store_process_main(attach->services->db, &follow->scope, &follow->row.sandbox, &row, &err) <
        0)
        return err.code == ERR_NOT_FOUND; /* it was deleted meanwhile */
    return row.state != PROCESS_RUNNING || row.generation != follow->row.generation;
}

/* True when the recorder is done with it: its end is recorded, or nobody waits for that. */
static bool look_for_main(struct attach *attach, struct follow *follow)
{
    const struct store_process_end end = process_end_of(&follow->event.process);

    if (is_main_recorded(attach, follow))
        take_end(&follow->row, &end);
    else if (follow->is_patient && stream_state(follow->stream) == STREAM_OPEN)
        return false;
    tell_end(attach, follow);
    return true;
}

static void await_main(struct attach *attach, struct follow *follow, int64_t pause_usec)
{
    if (look_for_main(attach, follow))
        return;
    follow->look_pause_usec = pause_usec < LOOK_LAST_USEC ? pause_usec : LOOK_LAST_USEC;
    follow->look_usec = monotonic_usec() + follow->look_pause_usec;
    TAILQ_INSERT_TAIL(&attach->awaited, follow, link);
}

static void look_for_awaited(struct attach *attach)
{
    int64_t now = monotonic_usec();
    struct follow *follow = TAILQ_FIRST(&attach->awaited);

    while (follow) {
        struct follow *next = TAILQ_NEXT(follow, link);

        if (follow->look_usec <= now) {
            TAILQ_REMOVE(&attach->awaited, follow, link);
            await_main(attach, follow, 2 * follow->look_pause_usec);
        }
        follow = next;
    }
}

/* The client of a command has left, and all of the command goes too. */
static void kill_orphan(struct attach *attach, const struct follow *follow)
{
    int64_t deadline = monotonic_usec() + KILL_MS * INT64_C(1000);
    const struct store_process *row = &follow->row;
    struct agent_client *client = NULL;
    struct error err;

    if ((process_agent_connect(attach->services, &row->sandbox, row->generation, deadline, &client,
                               &err) < 0 ||
         agent_process_signal(client, &row->id, SIGKILL, AGENT_SIGNAL_TREE, true, deadline, &err) <
             0) &&
        err.code != ERR_NOT_FOUND && err.code != ERR_CONFLICT)
        log_warn("a command whose client has left may run on: %s", err.message);
    agent_client_free(client);
}

static void take_ended(struct attach *attach, struct follow *follow)
{
    if (follow->is_orphan) {
        kill_orphan(attach, follow);
        follow_free(follow);
    } else if (follow->is_main) {
        await_main(attach, follow, LOOK_FIRST_USEC);
    } else {
        record_end(attach, follow);
    }
}

static void *record_ends(void *argument)
{
    struct attach *attach = argument;
    struct follow *follow;

    while (next_ended(attach, &follow)) {
        if (follow)
            take_ended(attach, follow);
        look_for_awaited(attach);
    }
    return NULL;
}

/* --- start and stop */

static void drop_list(struct follow_list *list)
{
    struct follow *follow;

    while ((follow = TAILQ_FIRST(list))) {
        TAILQ_REMOVE(list, follow, link);
        stream_break(follow->stream);
        follow_free(follow);
    }
}

static void attach_free(struct attach *attach)
{
    drop_list(&attach->all);
    drop_list(&attach->arrived);
    drop_list(&attach->ended);
    drop_list(&attach->awaited);
    if (attach->wake >= 0)
        (void)close(attach->wake);
    if (attach->epoll >= 0)
        (void)close(attach->epoll);
    (void)pthread_cond_destroy(&attach->changed);
    (void)pthread_mutex_destroy(&attach->lock);
    free(attach);
}

static void tell_stop(struct attach *attach)
{
    (void)pthread_mutex_lock(&attach->lock);
    attach->stopping = true;
    (void)pthread_cond_broadcast(&attach->changed);
    (void)pthread_mutex_unlock(&attach->lock);
    atomic_store(&attach->woken, false);
    wake(attach);
}

static int open_descriptors(struct attach *attach, struct error *err)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};

    attach->epoll = epoll_create1(EPOLL_CLOEXEC);
    attach->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (attach->epoll < 0 || attach->wake < 0 ||
        epoll_ctl(attach->epoll, EPOLL_CTL_ADD, attach->wake, &event) < 0)
        return error_set_errno(err, errno, "cannot make the thread of streams");
    return 0;
}

static int start_threads(struct attach *attach, struct error *err)
{
    int failure = pthread_create(&attach->mover, NULL, move, attach);

    if (failure)
        return error_set_errno(err, failure, "cannot start the thread of streams");
    failure = pthread_create(&attach->recorder, NULL, record_ends, attach);
    if (failure) {
        tell_stop(attach);
        (void)pthread_join(attach->mover, NULL);
        return error_set_errno(err, failure, "cannot start the thread of ends");
    }
    return 0;
}

int attach_start(struct services *services, struct attach **ret_attach, struct error *err)
{
    struct attach *attach = calloc(1, sizeof(*attach));

    if (!attach)
        return error_set_errno(err, ENOMEM, "cannot make the thread of streams");
    attach->services = services;
    attach->epoll = attach->wake = -1;
    TAILQ_INIT(&attach->arrived);
    TAILQ_INIT(&attach->ended);
    TAILQ_INIT(&attach->awaited);
    TAILQ_INIT(&attach->all);
    TAILQ_INIT(&attach->turns);
    (void)pthread_mutex_init(&attach->lock, NULL);
    condition_init(&attach->changed);
    if (open_descriptors(attach, err) < 0 || start_threads(attach, err) < 0) {
        attach_free(attach);
        return -1;
    }
    *ret_attach = attach;
    return 0;
}

void attach_stop(struct attach *attach)
{
    if (!attach)
        return;
    tell_stop(attach);
    (void)pthread_join(attach->mover, NULL);
    (void)pthread_join(attach->recorder, NULL);
    attach_free(attach);
}

/* --- a new stream */

/* The client of a WebSocket is told why he may not. */
static bool may_go_on(void *user)
{
    struct follower *follower = user;
    bool is_good;

    activity_note(follower->standing.services->activity, &follower->standing.tenant,
                  &follower->sandbox);
    is_good = standing_is_good(&follower->standing);
    if (!follower->is_socket)
        return is_good;
    atomic_store(&follower->refused, !is_good);
    atomic_store(&follower->beat, true);
    wake(follower->standing.services->attach);
    return true;
}

static int make_stream(struct services *services, const struct caller *caller,
                       const struct id *sandbox, const struct attach_options *options,
                       struct follow *follow, struct error *err)
{
    struct follower *follower = calloc(1, sizeof(*follower));
    struct stream *stream;

    if (!follower)
        return error_set(err, ERR_UNAVAILABLE, "there is no memory for a stream");
    if (stream_new(services->streams, QUEUE_BYTES, &stream, err) < 0) {
        free(follower);
        return -1;
    }
    follower->standing = standing_of(services, caller);
    follower->sandbox = *sandbox;
    follower->is_socket = options->is_socket;
    stream_set_guard(stream, may_go_on, free, follower);
    stream_set_wake(stream, wake, services->attach);
    if (options->heartbeat)
        stream_set_heartbeat(stream, options->heartbeat);
    if (options->is_socket)
        stream_set_input(stream, INPUT_BYTES);
    follow->stream = stream;
    follow->follower = follower;
    return 0;
}

static void begin_with_status(struct follow *follow, const struct process_info *info)
{
    const struct attach_part part = {
        .kind = ATTACH_STATUS, .row = &info->row, .user = follow->user};

    follow->part_kind = ATTACH_STATUS;
    format_part(follow, &part);
}

/* An ended process is in the log of its sandbox also when no agent knows it. */
static int check_readable(const struct process_info *info, struct error *err)
{
    if (info->row.kind == STORE_PROCESS_EXEC)
        return error_set(err, ERR_CONFLICT, "the output of an exec is in its answer alone");
    if (!info->is_live && info->row.state == PROCESS_RUNNING)
        return error_set(err, ERR_CONFLICT, "the sandbox is not there to read the process from");
    return 0;
}

static int open_follow(struct services *services, const struct caller *caller,
                       const struct process_info *info, const struct attach_options *options,
                       struct follow *follow, struct error *err)
{
    if (check_readable(info, err) < 0 ||
        attach_source_open(services, info, options, &follow->source, err) < 0 ||
        make_stream(services, caller, &info->row.sandbox, options, follow, err) < 0 ||
        (options->is_socket &&
         attach_socket_open(services, info, options, follow->stream, &follow->socket, err) < 0))
        return -1;
    follow->format = options->format;
    follow->kill_when_gone = options->kill_when_gone;
    follow->is_main = options->is_main;
    follow->is_patient = options->follow;
    follow->scope = caller_scope(caller);
    follow->scope.claim = NULL;
    follow->event.offset = options->since;
    follow->row = info->row;
    follow->row.command_json = follow->row.tag = NULL;
    follow->row.owner = NULL;
    if (options->has_status)
        begin_with_status(follow, info);
    return 0;
}

int attach_follow(struct services *services, const struct caller *caller, const struct id *sandbox,
                  const struct id *id, const struct attach_options *options,
                  struct stream **ret_stream, struct error *err)
{
    _cleanup_(cleanup_follow) struct follow *follow = calloc(1, sizeof(*follow));
    _cleanup_(process_info_free) struct process_info info = {.is_live = false};
    struct attach *attach = services->attach;

    if (!follow) {
        if (options->release)
            options->release(options->user);
        return error_set(err, ERR_UNAVAILABLE, "there is no memory for a stream");
    }
    follow->user = options->user;
    follow->release = options->release;
    if ((options->is_main ? processes_get_main(services, caller, sandbox, &info, err)
                          : processes_get(services, caller, sandbox, id, &info, err)) < 0 ||
        open_follow(services, caller, &info, options, follow, err) < 0)
        return -1;
    *ret_stream = stream_ref(follow->stream);
    hand_over(attach, TAKE_PTR(follow), &attach->arrived);
    wake(attach);
    return 0;
}
