#include "server/services/attach.h"

#include "lib/base/util.h"
#include "lib/runtime/agent_control.h"
#include "lib/runtime/launcher_client.h"
#include "server/services/activity.h"
#include "server/services/attach_socket.h"
#include "server/services/attach_source.h"
#include "server/services/process_agent.h"
#include "server/services/standing.h"
#include "server/stream/mover.h"
#include "server/stream/stream.h"

#include <atoll/log.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

enum {
    QUEUE_BYTES = 32 * 1024, /* of a stream */
    INPUT_BYTES = 8 * 1024,  /* of what the client of a WebSocket has sent */
    PIECE_BYTES = 8 * 1024,  /* of output in one part */
    STEPS_A_TURN = 16,       /* parts of one stream before the next one's turn */
    KILL_MS = 2000,
    RECORD_MS = 10 * 1000, /* for an end while PostgreSQL is away, before its stream is broken */
    AGAIN_MS = 250,        /* between two attempts at it, or looks for the end of a main command */
};

/* What the guard of a stream asks about; whoever follows uses the sandbox. */
struct follower {
    struct standing standing;
    struct id sandbox;
    bool is_socket;
    atomic_bool beat;    /* of a WebSocket: its client shall be asked whether he is there */
    atomic_bool refused; /* he may not go on */
};

/* One stream, and how far it has come. */
struct follow {
    struct moved moved;        /* the first member */
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
    enum attach_part_kind part_kind;
    bool is_last; /* nothing follows the part */
    bool kill_when_gone;
    bool is_orphan;               /* its client has left: the process is to be killed */
    struct agent_control *killer; /* while that is under way */
    int64_t give_up_usec;         /* on that, or on recording the end; 0: it has not begun */
    bool is_main;                 /* of a main command, whose end others record: */
    bool is_patient;              /* that is waited for */
};

struct attach {
    struct services *services;
    struct mover *mover;
};

static void follow_free(struct follow *follow)
{
    attach_socket_free(follow->socket);
    stream_unref(follow->moved.stream);
    attach_source_free(follow->source);
    agent_control_free(follow->killer);
    if (follow->release)
        follow->release(follow->user);
    free(follow->moved.part);
    free(follow);
}

DEFINE_CLEANUP(struct follow *, follow, follow_free)

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
        stream_break(follow->moved.stream);
}

static void format_part(struct follow *follow, const struct attach_part *part)
{
    follow->moved.part = follow->format(part, &follow->moved.part_size);
    follow->moved.part_used = 0;
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
    if (!follow->moved.part) /* memory is short: a stream without these bytes would lie */
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
    struct moved *moved = &follow->moved;

    if (moved->part)
        attach_socket_send(follow->socket, follow->part_kind, moved->part, moved->part_size);
    free(moved->part);
    moved->part = NULL;
    return attach_socket_flush(follow->socket);
}

/* All output is there. An end that is not the row's yet is recorded first. */
static enum mover_step end_output(struct follow *follow)
{
    if (follow->row.state == PROCESS_RUNNING && follow->event.process.state == AGENT_PROCESS_ENDED)
        return MOVER_ASIDE;
    format_exit(follow);
    return MOVER_MORE;
}

static enum mover_step take_event(struct follow *follow)
{
    uint64_t end = follow->event.offset + follow->event.size;
    struct error err;
    int found = attach_source_next(follow->source, &follow->event, &err);

    if (found == 0) {
        follow->event = (struct agent_attach_event){.offset = end};
        return MOVER_NEEDS_INPUT;
    }
    if (found < 0) {
        log_debug("a process's output cannot be read on: %s", err.message);
        fail(follow, "the output cannot be read on");
        return MOVER_MORE;
    }
    if (follow->event.kind == AGENT_ATTACH_DONE) {
        follow->event.offset = end;
        follow->event.size = 0;
        return end_output(follow);
    }
    follow->has_event = true;
    follow->event_used = 0;
    return MOVER_MORE;
}

/* What dies with its client is killed by the second thread: the agent may let it wait. */
static enum mover_step end_stream(struct follow *follow)
{
    bool is_gone = stream_state(follow->moved.stream) == STREAM_GONE ||
                   atomic_load(&follow->follower->refused);

    follow->is_orphan = follow->kill_when_gone && !follow->is_last && is_gone;
    return follow->is_orphan ? MOVER_ASIDE : MOVER_OVER;
}

static enum mover_step finish(struct follow *follow)
{
    if (follow->socket && !attach_socket_is_closing(follow->socket)) {
        attach_socket_close(follow->socket, WEBSOCKET_NORMAL, "that was all");
        return MOVER_MORE;
    }
    stream_finish(follow->moved.stream);
    return end_stream(follow);
}

/* The guard has looked at the client of a WebSocket. */
static void take_beat(struct follow *follow)
{
    if (atomic_load(&follow->follower->refused))
        attach_socket_close(follow->socket, WEBSOCKET_POLICY, "the token is not good any more");
    else if (atomic_exchange(&follow->follower->beat, false) && !attach_socket_beat(follow->socket))
        stream_break(follow->moved.stream);
}

/* The client's side of a WebSocket. True when there is more of it. */
static bool step_socket(struct follow *follow)
{
    if (!follow->socket)
        return false;
    take_beat(follow);
    return attach_socket_step(follow->socket);
}

static enum mover_step take_step(struct moved *moved)
{
    struct follow *follow = (struct follow *)moved;
    bool more = step_socket(follow);
    enum mover_step step = MOVER_MORE;

    if (!follow->socket && atomic_load(&follow->follower->refused))
        stream_break(moved->stream);
    if (stream_state(moved->stream) != STREAM_OPEN)
        return end_stream(follow);
    if (follow->socket ? !push_message(follow) : !moved_push(moved))
        return MOVER_NEEDS_ROOM;
    if (follow->is_last || (follow->socket && attach_socket_is_closing(follow->socket)))
        return finish(follow);
    if (follow->has_event)
        format_piece(follow);
    else
        step = take_event(follow);
    return step == MOVER_NEEDS_INPUT && more ? MOVER_MORE : step;
}

static int source_fd(const struct moved *moved)
{
    return attach_source_fd(((const struct follow *)moved)->source);
}

static void receive(struct moved *moved)
{
    struct follow *follow = (struct follow *)moved;
    struct error err;

    if (attach_source_receive(follow->source, &err) < 0) {
        log_debug("a sandbox's agent is gone: %s", err.message);
        fail(follow, "the sandbox is gone");
    }
}

/* What the client of a WebSocket does, and what the guard has seen of any. */
static bool has_news(const struct moved *moved)
{
    const struct follow *follow = (const struct follow *)moved;

    return atomic_load(&follow->follower->refused) ||
           (follow->socket &&
            (stream_has_received(moved->stream) || atomic_load(&follow->follower->beat)));
}

static void arrive(struct moved *moved, int epoll)
{
    struct follow *follow = (struct follow *)moved;

    if (follow->socket)
        attach_socket_watch(follow->socket, epoll, moved);
}

static void leave(struct moved *moved)
{
    struct follow *follow = (struct follow *)moved;

    if (follow->socket)
        attach_socket_detach(follow->socket);
}

/* --- the recorder */

/* False when the time for it that begins with the first call has passed. */
static bool has_time(struct follow *follow, int64_t ms)
{
    int64_t now = monotonic_usec();

    if (follow->give_up_usec == 0)
        follow->give_up_usec = now + ms * 1000;
    return now < follow->give_up_usec;
}

/* Back to the mover, which sends what is known of the end. */
static void tell_end(struct attach *attach, struct follow *follow)
{
    format_exit(follow);
    mover_add(attach->mover, &follow->moved);
}

/* False when it is to be tried again: the ends of others, which wait behind it, need not. */
static bool record_end(struct attach *attach, struct follow *follow)
{
    const struct process_end end = agent_process_end(&follow->event.process, &follow->row.sandbox);
    struct error err;
    bool found = false; /* false for one that has no row (any more) */

    if (store_process_end(attach->services->db, &follow->scope, &end, &found, &err) < 0) {
        if (err.code == ERR_UNAVAILABLE && has_time(follow, RECORD_MS))
            return false;
        log_error("the end of a process cannot be recorded: %s", err.message);
        fail(follow, "the end cannot be recorded");
    } else if (found) {
        store_process_take_end(&follow->row, &end);
    }
    tell_end(attach, follow);
    return true;
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

/* False when it is to be looked for again: it is not recorded, and somebody waits for that. */
static bool look_for_main(struct attach *attach, struct follow *follow)
{
    const struct process_end end = agent_process_end(&follow->event.process, &follow->row.sandbox);

    if (is_main_recorded(attach, follow))
        store_process_take_end(&follow->row, &end);
    else if (follow->is_patient && stream_state(follow->moved.stream) == STREAM_OPEN)
        return false;
    tell_end(attach, follow);
    return true;
}

/* Sends the signal. An agent whose backlog is full takes no connection now. */
static int begin_kill(struct attach *attach, struct follow *follow, struct error *err)
{
    const struct store_process *row = &follow->row;
    struct agent_client *client;

    if (launcher_client_connect_agent(attach->services->launcher, &row->sandbox, row->generation,
                                      monotonic_usec(), &client, err) < 0 ||
        agent_control_open(client, &row->id, &follow->killer, err) < 0)
        return -1;
    agent_control_signal(follow->killer, SIGKILL, AGENT_SIGNAL_TREE, true);
    return 0;
}

/*
 * The client of a command has left, and all of the command goes too. False while the agent has not
 * answered: it may stand still, and the ends of others' processes wait behind it.
 */
static bool kill_orphan(struct attach *attach, struct follow *follow)
{
    bool may_wait = has_time(follow, KILL_MS);
    struct error err;
    int done = -1;

    (void)error_set(&err, ERR_UNAVAILABLE, "the sandbox's agent does not answer");
    if (follow->killer || begin_kill(attach, follow, &err) == 0)
        done = agent_control_step(follow->killer, &err);
    if (may_wait && (done == 0 || !follow->killer))
        return false;
    if (done < 1 && err.code != ERR_NOT_FOUND && err.code != ERR_CONFLICT)
        log_warn("a command whose client has left may run on: %s", err.message);
    return true;
}

/* Of a stream that is set aside. False when it is to be asked about again. */
static bool end_process(struct moved *moved, void *user)
{
    struct follow *follow = (struct follow *)moved;
    struct attach *attach = user;

    if (follow->is_orphan) {
        if (!kill_orphan(attach, follow))
            return false;
        follow_free(follow);
        return true;
    }
    return follow->is_main ? look_for_main(attach, follow) : record_end(attach, follow);
}

/* --- start and stop */

static void moved_free(struct moved *moved)
{
    follow_free((struct follow *)moved);
}

static const struct mover_ops ops = {
    .name = "streams",
    .steps = STEPS_A_TURN,
    .again_ms = AGAIN_MS,
    .step = take_step,
    .fd = source_fd,
    .receive = receive,
    .aside = end_process,
    .free = moved_free,
    .has_news = has_news,
    .arrive = arrive,
    .leave = leave,
};

int attach_start(struct services *services, struct attach **ret_attach, struct error *err)
{
    struct attach *attach = calloc(1, sizeof(*attach));

    if (!attach)
        return error_set_errno(err, ENOMEM, "cannot make the thread of streams");
    attach->services = services;
    if (mover_start(&ops, attach, &attach->mover, err) < 0) {
        free(attach);
        return -1;
    }
    *ret_attach = attach;
    return 0;
}

void attach_stop(struct attach *attach)
{
    if (!attach)
        return;
    mover_stop(attach->mover);
    free(attach);
}

/* --- a new stream */

/* The mover ends what is left of who may not; the client of a WebSocket is told why. */
static bool may_go_on(void *user)
{
    struct follower *follower = user;
    bool is_good;

    activity_note(follower->standing.services->activity, &follower->standing.tenant,
                  &follower->sandbox);
    is_good = standing_is_good(&follower->standing);
    atomic_store(&follower->refused, !is_good);
    atomic_store(&follower->beat, true);
    if (follower->is_socket || !is_good)
        mover_wake(follower->standing.services->attach->mover);
    return is_good || follower->is_socket;
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
    stream_set_wake(stream, mover_wake, services->attach->mover);
    if (options->heartbeat)
        stream_set_heartbeat(stream, options->heartbeat);
    if (options->is_socket)
        stream_set_input(stream, INPUT_BYTES);
    follow->moved.stream = stream;
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
        (options->is_socket && attach_socket_open(services, info, options, follow->moved.stream,
                                                  &follow->socket, err) < 0))
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
    *ret_stream = stream_ref(follow->moved.stream);
    mover_add(services->attach->mover, &TAKE_PTR(follow)->moved);
    return 0;
}
