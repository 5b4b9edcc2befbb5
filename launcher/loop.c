#include "launcher/loop.h"

#include "launcher/clients.h"
#include "launcher/create.h"
#include "launcher/destroy.h"
#include "launcher/network.h"
#include "launcher/ready.h"

#include "lib/base/util.h"

#include <atoll/cleanup.h>
#include <atoll/log.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

static int watch(const struct launcher *launcher, struct source *source, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = source};

    return epoll_ctl(launcher->epoll, EPOLL_CTL_ADD, source->fd, &event);
}

void loop_forget(const struct launcher *launcher, struct source *source)
{
    if (source->fd < 0)
        return;
    (void)epoll_ctl(launcher->epoll, EPOLL_CTL_DEL, source->fd, NULL);
    close(source->fd);
    source->fd = -1;
}

int loop_watch(struct launcher *launcher, struct sandbox *sandbox)
{
    if (watch(launcher, &sandbox->pidfd, EPOLLIN) < 0)
        return -1;
    return sandbox->status.fd < 0 ? 0 : watch(launcher, &sandbox->status, EPOLLIN);
}

/* kernfs raises EPOLLPRI until this very descriptor has been read from its start. */
static void consume_events(const struct sandbox *sandbox)
{
    char text[256];

    if (sandbox->events.fd >= 0)
        (void)!pread(sandbox->events.fd, text, sizeof(text), 0);
}

int loop_watch_freeze(struct launcher *launcher, struct sandbox *sandbox)
{
    if (sandbox->events.fd >= 0)
        return 0;
    sandbox->events.fd = cgroup_events(&launcher->cgroup, sandbox->name);
    if (sandbox->events.fd < 0)
        return -1;
    consume_events(sandbox);
    if (watch(launcher, &sandbox->events, EPOLLPRI) == 0)
        return 0;
    loop_forget(launcher, &sandbox->events);
    return -1;
}

void loop_freeze_ended(struct launcher *launcher, struct sandbox *sandbox, int status)
{
    if (!sandbox->freezing)
        return;
    sandbox->freezing = false;
    sandbox->deadline_usec = 0;
    sandbox->frozen = status == 0;
    loop_forget(launcher, &sandbox->events);
    if (status == ETIMEDOUT)
        (void)cgroup_freeze(&launcher->cgroup, sandbox->name, false);
    clients_frozen(launcher, sandbox, status);
}

static void look_at_freeze(struct launcher *launcher, struct sandbox *sandbox)
{
    bool frozen = false;

    consume_events(sandbox);
    if (cgroup_frozen(&launcher->cgroup, sandbox->name, &frozen) < 0)
        loop_freeze_ended(launcher, sandbox, errno);
    else if (frozen)
        loop_freeze_ended(launcher, sandbox, 0);
    else if (monotonic_usec() >= sandbox->freeze_end_usec)
        loop_freeze_ended(launcher, sandbox, ETIMEDOUT);
    else if (sandbox->events.fd < 0)
        sandbox->deadline_usec = monotonic_usec() + LOOP_FREEZE_LOOK_USEC;
}

static void log_failure(const struct sandbox *sandbox)
{
    log_identity(NULL, sandbox->name, NULL);
    log_warn("create: cannot %s: %s", create_step_text(sandbox->failure_step),
             strerrordesc_np(sandbox->failure));
    log_identity(NULL, NULL, NULL);
}

/*
 * A child made ahead that was killed before its exec has run nothing of anybody's: somebody meant a
 * process without a sandbox. None is made ahead now, so that the next attempt takes the direct way.
 */
static bool create_again(struct launcher *launcher, struct sandbox *sandbox)
{
    if (!sandbox->creating || !sandbox->made_ahead || sandbox->wanted || sandbox->exec_announced ||
        sandbox->failure_step != STEP_DIED)
        return false;
    ready_was_killed(launcher);
    return clients_create_again(launcher, sandbox);
}

/* Every process of the sandbox is gone; try to remove the rest. */
static void clean(struct launcher *launcher, struct sandbox *sandbox)
{
    if (!destroy_clean(launcher, sandbox) || create_again(launcher, sandbox))
        return;
    if (sandbox->ready) {
        ready_ended(launcher, sandbox);
        sandbox_table_remove(&launcher->table, sandbox);
        return;
    }
    if (sandbox->creating) {
        if (sandbox->failure == 0)
            sandbox->failure = ECANCELED; /* a destroy came first */
        else
            log_failure(sandbox);
        clients_created(launcher, sandbox);
    }
    clients_destroyed(launcher, sandbox);
    if (sandbox->wanted || sandbox->creating)
        sandbox_table_remove(&launcher->table, sandbox);
    else
        sandbox_table_exited(&launcher->table, sandbox);
}

static void fail_create(struct launcher *launcher, struct sandbox *sandbox, uint32_t step,
                        int failure)
{
    if (sandbox->failure == 0) {
        sandbox->failure = failure;
        sandbox->failure_step = step;
    }
    loop_forget(launcher, &sandbox->status);
    destroy_kill(launcher, sandbox);
}

static void on_status(struct launcher *launcher, struct sandbox *sandbox)
{
    enum create_outcome outcome = CREATE_PENDING;

    /* A destroy may have come first; the pidfd then tells the rest. */
    if (sandbox->phase == SANDBOX_STARTING) {
        outcome = create_finish(sandbox);
        if (outcome == CREATE_PENDING)
            return;
    }
    loop_forget(launcher, &sandbox->status);
    if (outcome == CREATE_PENDING)
        return;
    if (outcome == CREATE_FAILED) {
        destroy_kill(launcher, sandbox);
        return;
    }
    sandbox->phase = SANDBOX_LIVE;
    sandbox->creating = false;
    sandbox->deadline_usec = 0;
    if (sandbox->ready)
        return;
    ready_follow(launcher, sandbox);
    clients_created(launcher, sandbox);
}

static void on_pidfd(struct launcher *launcher, struct sandbox *sandbox)
{
    /* The pipe may hold the reason still; a death in the same moment as the exec has none. */
    while (sandbox->creating && sandbox->phase == SANDBOX_STARTING && sandbox->failure == 0) {
        enum create_outcome outcome = create_finish(sandbox);

        if (outcome == CREATE_DONE) {
            sandbox->failure = ECHILD;
            sandbox->failure_step = STEP_DIED;
        }
    }
    loop_freeze_ended(launcher, sandbox, ESRCH);
    clean(launcher, sandbox);
}

static void on_deadline(struct launcher *launcher, struct sandbox *sandbox)
{
    if (sandbox->phase == SANDBOX_DEAD)
        clean(launcher, sandbox);
    else if (sandbox->phase == SANDBOX_STARTING)
        fail_create(launcher, sandbox, STEP_DEADLINE, ETIMEDOUT);
    else if (sandbox->phase == SANDBOX_DYING)
        destroy_hasten(launcher, sandbox);
    else if (sandbox->freezing)
        look_at_freeze(launcher, sandbox);
    else
        sandbox->deadline_usec = 0;
}

static void run_deadlines(struct launcher *launcher)
{
    int64_t now = monotonic_usec();
    struct sandbox *next;

    for (struct sandbox *s = launcher->table.first; s; s = next) {
        next = s->next;
        if (s->deadline_usec != 0 && s->deadline_usec <= now)
            on_deadline(launcher, s);
    }
}

/* Milliseconds to the next deadline or idle work, -1 when there is none. */
static int next_deadline_ms(const struct launcher *launcher)
{
    int64_t least = ready_due_usec(launcher);

    for (const struct sandbox *s = launcher->table.first; s; s = s->next)
        if (s->deadline_usec != 0 && (least == 0 || s->deadline_usec < least))
            least = s->deadline_usec;
    return least == 0 ? -1 : deadline_left_ms(least);
}

static void dispatch(struct launcher *launcher, struct source *source)
{
    switch (source->kind) {
    case SOURCE_LISTENER:
        clients_accept(launcher);
        break;
    case SOURCE_CLIENT:
        clients_serve(launcher, source);
        break;
    case SOURCE_SIGNALS:
        launcher->stopping = true;
        loop_forget(launcher, source);
        ready_discard(launcher);
        break;
    case SOURCE_STATUS:
        on_status(launcher, source->sandbox);
        break;
    case SOURCE_PIDFD:
        on_pidfd(launcher, source->sandbox);
        break;
    case SOURCE_EVENTS:
        look_at_freeze(launcher, source->sandbox);
        break;
    }
}

/* While a sandbox is ready, the next create needs no network: it is made when that one is claimed,
 * beside the command and not beside the end of the one before. */
static bool wants_network(const struct launcher *launcher)
{
    return !launcher->network_ready && !launcher->network_failed && !launcher->ready.sandbox;
}

static bool wants_ready(const struct launcher *launcher)
{
    int64_t due = ready_due_usec(launcher);

    return due != 0 && due <= monotonic_usec();
}

static bool has_idle_work(const struct launcher *launcher)
{
    return wants_network(launcher) || wants_ready(launcher) || logs_pending(&launcher->log);
}

/* Nothing is waiting: make what the next create would wait for, else remove what nobody waits for,
 * one piece a turn. */
static void use_idle_time(struct launcher *launcher)
{
    if (wants_network(launcher)) {
        launcher->network_ready = network_prepare() == 0;
        launcher->network_failed = !launcher->network_ready;
    } else if (wants_ready(launcher)) {
        ready_make(launcher);
    } else {
        logs_work(&launcher->log);
    }
}

/* Sandboxes outlive the launcher; a ready one, which nobody could use, does not. */
static bool may_end(const struct launcher *launcher)
{
    for (const struct sandbox *s = launcher->table.first; s; s = s->next)
        if (s->ready)
            return false;
    return launcher->stopping;
}

int loop_run(struct launcher *launcher, struct error *err)
{
    if (watch(launcher, &launcher->listener, EPOLLIN) < 0 ||
        watch(launcher, &launcher->signals, EPOLLIN) < 0)
        return error_set_errno(err, errno, "cannot watch the socket");
    while (!may_end(launcher)) {
        bool idle_work = has_idle_work(launcher);
        struct epoll_event event;
        int got =
            epoll_wait(launcher->epoll, &event, 1, idle_work ? 0 : next_deadline_ms(launcher));

        if (got < 0 && errno != EINTR)
            return error_set_errno(err, errno, "cannot wait for events");
        if (got == 1)
            dispatch(launcher, event.data.ptr);
        else if (got == 0 && idle_work)
            use_idle_time(launcher);
        run_deadlines(launcher);
        sandbox_table_trim(&launcher->table);
    }
    return 0;
}
