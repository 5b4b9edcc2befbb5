#include "server/services/watches.h"

#include "lib/base/util.h"
#include "lib/db/store_container.h"
#include "lib/runtime/launcher_client.h"
#include "server/services/process_agent.h"
#include "server/services/standing.h"
#include "server/stream/mover.h"
#include "server/stream/stream.h"

#include <atoll/container.h>
#include <atoll/log.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    QUEUE_BYTES = 32 * 1024,       /* of a stream */
    STEPS_A_TURN = 64,             /* events of one stream before the next one's turn */
    BEGIN_USEC = 60 * 1000 * 1000, /* a large tree takes its time */
    LOOK_MS = 250,                 /* between two looks at a sandbox whose agent is gone */
    LOOKS_MAX = 120,               /* then its stream is broken */
};

/* One stream. */
struct watching {
    struct moved moved; /* the first member */
    struct agent_watch *watch;
    watch_format format;
    char *folder;
    struct db_scope scope;
    struct id sandbox;
    uint32_t generation;
    bool is_last;   /* nothing follows the part */
    unsigned looks; /* at the sandbox, since its agent is gone */
};

struct watches {
    struct services *services;
    struct mover *mover;
};

static void watching_free(struct watching *watching)
{
    stream_unref(watching->moved.stream);
    agent_watch_free(watching->watch);
    free(watching->folder);
    free(watching->moved.part);
    free(watching);
}

DEFINE_CLEANUP(struct watching *, watching, watching_free)

/* --- parts */

static void format_part(struct watching *watching, struct watch_part *part)
{
    struct moved *moved = &watching->moved;

    part->folder = watching->folder;
    moved->part = watching->format(part, &moved->part_size);
    moved->part_used = 0;
    if (!moved->part) /* memory is short: a stream without it would lie */
        stream_break(moved->stream);
}

static void format_end(struct watching *watching, bool is_removed, enum sandbox_state state)
{
    struct watch_part part = {.is_removed = is_removed, .state = state};

    watching->is_last = true;
    format_part(watching, &part);
}

/* --- the mover */

static enum mover_step take_event(struct watching *watching)
{
    struct agent_watch_event event;
    struct watch_part part = {.event = &event};
    struct error err;
    int found = agent_watch_next(watching->watch, &event, &err);

    if (found == 0)
        return agent_watch_lost(watching->watch) ? MOVER_ASIDE : MOVER_NEEDS_INPUT;
    if (found < 0) {
        log_debug("a folder cannot be watched on: %s", err.message);
        stream_break(watching->moved.stream);
        return MOVER_OVER;
    }
    if (event.is_end)
        format_end(watching, true, SANDBOX_RUNNING);
    else
        format_part(watching, &part);
    return MOVER_MORE;
}

static enum mover_step take_step(struct moved *moved)
{
    struct watching *watching = (struct watching *)moved;

    if (stream_state(moved->stream) != STREAM_OPEN)
        return MOVER_OVER;
    if (!moved_push(moved))
        return MOVER_NEEDS_ROOM;
    if (watching->is_last) {
        stream_finish(moved->stream);
        return MOVER_OVER;
    }
    return take_event(watching);
}

static int source_fd(const struct moved *moved)
{
    return agent_watch_fd(((const struct watching *)moved)->watch);
}

/* An agent that is gone is noticed when all that it had told is taken. */
static void receive(struct moved *moved)
{
    struct agent_watch *watch = ((struct watching *)moved)->watch;
    struct error err;

    if (agent_watch_receive(watch, &err) < 0 && !agent_watch_lost(watch)) {
        log_debug("a sandbox's agent cannot be read: %s", err.message);
        stream_break(moved->stream);
    }
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

/* Looks once, at the sandbox of a lost agent. False when it is to be looked at again. */
static bool look(struct moved *moved, void *user)
{
    struct watching *watching = (struct watching *)moved;
    struct watches *watches = user;
    bool has_client = stream_state(moved->stream) == STREAM_OPEN;
    enum sandbox_state state;

    if (has_client && has_ended(watches, watching, &state))
        format_end(watching, false, state);
    else if (has_client && ++watching->looks < LOOKS_MAX)
        return false;
    else
        stream_break(moved->stream);
    mover_add(watches->mover, moved);
    return true;
}

/* --- start and stop */

static void moved_free(struct moved *moved)
{
    watching_free((struct watching *)moved);
}

static const struct mover_ops ops = {
    .name = "watches",
    .steps = STEPS_A_TURN,
    .again_ms = LOOK_MS,
    .step = take_step,
    .fd = source_fd,
    .receive = receive,
    .aside = look,
    .free = moved_free,
};

int watches_start(struct services *services, struct watches **ret_watches, struct error *err)
{
    struct watches *watches = calloc(1, sizeof(*watches));

    if (!watches)
        return error_set_errno(err, ENOMEM, "cannot make the thread of watches");
    watches->services = services;
    if (mover_start(&ops, watches, &watches->mover, err) < 0) {
        free(watches);
        return -1;
    }
    *ret_watches = watches;
    return 0;
}

void watches_stop(struct watches *watches)
{
    if (!watches)
        return;
    mover_stop(watches->mover);
    free(watches);
}

/* --- a new stream */

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
    if (launcher_client_connect_agent(services->launcher, &record.id, record.generation, deadline,
                                      &client, err) < 0)
        return -1;
    return agent_watch_begin(client, request, deadline, &watching->watch, err);
}

int watches_begin(struct services *services, const struct caller *caller, const struct id *sandbox,
                  const struct agent_watch_request *request, watch_format format,
                  const char *heartbeat, struct stream **ret_stream, struct error *err)
{
    _cleanup_(cleanup_watching) struct watching *watching = calloc(1, sizeof(*watching));

    if (!watching || !(watching->folder = strdup(request->path)))
        return error_set(err, ERR_UNAVAILABLE, "there is no memory for a stream");
    watching->format = format;
    watching->scope = caller_scope(caller);
    watching->scope.claim = NULL;
    if (open_watch(services, sandbox, request, watching, err) < 0 ||
        standing_stream(services, caller, QUEUE_BYTES, heartbeat, &watching->moved.stream, err) < 0)
        return -1;
    stream_set_wake(watching->moved.stream, mover_wake, services->watches->mover);
    *ret_stream = stream_ref(watching->moved.stream);
    mover_add(services->watches->mover, &TAKE_PTR(watching)->moved);
    return 0;
}
