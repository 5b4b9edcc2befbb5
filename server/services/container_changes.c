/* Changes of a container's state: see containers.h. */
#include "lib/runtime/launcher_client.h"
#include "server/services/container_launch.h"
#include "server/services/container_stop.h"
#include "server/services/containers.h"

#include <atoll/log.h>

/* One change under way. */
struct change {
    struct services *services;
    const struct caller *caller;
    struct db_scope scope;
    struct container_record record; /* as it is now */
};

static void change_done(struct change *change)
{
    container_record_free(&change->record);
}

static int refuse_state(const struct container_record *record, const char *verb, struct error *err)
{
    return error_set(err, ERR_CONFLICT, "the sandbox is %s: it cannot be %s",
                     sandbox_state_name(record->state), verb);
}

/* Takes the step in the database; the record is what it became. */
static int take_step_with(struct change *change, enum sandbox_state to,
                          enum container_reason reason, const struct container_exit *exit,
                          struct error *err)
{
    struct store_origin origin = caller_origin(change->caller);
    struct store_container_step step = {
        .id = change->record.id,
        .generation = change->record.generation,
        .from = change->record.state,
        .to = to,
        .reason = reason,
        .has_exit = exit->seen,
        .exit_code = exit->exit_code,
        .exit_signal = exit->signal,
    };
    struct container_record next;

    if (store_container_step(change->services->db, &change->scope, &step, &origin, &next, err) < 0)
        return -1;
    container_record_free(&change->record);
    change->record = next;
    return 0;
}

static int take_step(struct change *change, enum sandbox_state to, enum container_reason reason,
                     struct error *err)
{
    static const struct container_exit none;

    return take_step_with(change, to, reason, &none, err);
}

/* The start has failed for the reason in `err`, which stays; the disk is there. */
static void back_to_stopped(struct change *change)
{
    struct error failure;

    if (container_end(change->services, &change->record, &failure) < 0 ||
        take_step(change, SANDBOX_STOPPED, CONTAINER_START_FAILED, &failure) < 0)
        log_error("a sandbox that could not start stays as it is: %s", failure.message);
}

static int start_admitted(struct change *change, struct error *err)
{
    if (take_step(change, SANDBOX_CREATING, CONTAINER_REQUESTED, err) < 0)
        return -1;
    if (container_launch(change->services, &change->record, err) == 0 &&
        take_step(change, SANDBOX_RUNNING, CONTAINER_REQUESTED, err) == 0)
        return 0;
    back_to_stopped(change);
    return -1;
}

static int start(struct change *change, struct error *err)
{
    struct admission *admission = change->services->admission;
    struct admission_ticket ticket;
    int status;

    if (change->record.state == SANDBOX_RUNNING)
        return 0;
    if (change->record.state != SANDBOX_STOPPED && change->record.state != SANDBOX_FAILED)
        return refuse_state(&change->record, "started", err);
    if (admission_enter(admission, &change->caller->tenant, false, &ticket, err) < 0)
        return -1;
    status = start_admitted(change, err);
    admission_leave(admission, &ticket);
    return status;
}

static int note_stopping(struct change *change, struct error *err)
{
    const struct store_container_step step = {
        .id = change->record.id,
        .generation = change->record.generation,
        .from = change->record.state,
    };

    return store_container_stopping(change->services->db, &change->scope, &step, err);
}

/* The worker may have seen the end of the main command, and taken the step, before us. */
static int take_stopped(struct change *change, const struct container_exit *exit, struct error *err)
{
    struct container_record now;

    if (take_step_with(change, SANDBOX_STOPPED, CONTAINER_REQUESTED, exit, err) == 0)
        return 0;
    if (err->code != ERR_CONFLICT || store_container_get(change->services->db, &change->scope,
                                                         &change->record.id, &now, err) < 0)
        return -1;
    container_record_free(&change->record);
    change->record = now;
    return now.state == SANDBOX_STOPPED ? 0 : refuse_state(&now, "stopped", err);
}

static int stop(struct change *change, uint32_t timeout_s, struct error *err)
{
    _cleanup_(container_stop_free) struct container_stop end = {.agent = NULL};
    const struct container_record *record = &change->record;

    if (change->record.state == SANDBOX_STOPPED)
        return 0;
    if (change->record.state != SANDBOX_RUNNING && change->record.state != SANDBOX_PAUSED)
        return refuse_state(&change->record, "stopped", err);
    if (note_stopping(change, err) < 0)
        return -1;
    container_stop_begin(change->services, &record->tenant, &record->id, record->generation,
                         timeout_s, &end);
    if (container_end(change->services, record, err) < 0)
        return -1;
    return take_stopped(change, &end.exit, err);
}

static int restart(struct change *change, uint32_t timeout_s, struct error *err)
{
    bool up = change->record.state == SANDBOX_RUNNING || change->record.state == SANDBOX_PAUSED;

    if (up && stop(change, timeout_s, err) < 0)
        return -1;
    return start(change, err);
}

/*
 * The freezer did not do what the row says already. Where nobody knows whether it did, the worker
 * looks at both; one that the launcher no longer has is the worker's to mark.
 */
static int take_back(struct change *change, enum sandbox_state before, struct error *err)
{
    struct error failure;

    if (err->code == ERR_NOT_FOUND)
        return error_set(err, ERR_CONFLICT, "the sandbox's processes have ended");
    if (err->code != ERR_UNAVAILABLE &&
        take_step(change, before, CONTAINER_REQUESTED, &failure) < 0)
        log_error("a sandbox that could not change its state shows it: %s", failure.message);
    return -1;
}

static int pause_running(struct change *change, uint32_t unused, struct error *err)
{
    struct launcher_client *launcher = change->services->launcher;
    const struct container_record *record = &change->record;

    (void)unused;
    if (record->state == SANDBOX_PAUSED)
        return 0;
    if (record->state != SANDBOX_RUNNING)
        return refuse_state(record, "paused", err);
    if (take_step(change, SANDBOX_PAUSED, CONTAINER_REQUESTED, err) < 0)
        return -1;
    if (launcher_client_freeze(launcher, &record->id, record->generation, err) == 0)
        return 0;
    return take_back(change, SANDBOX_RUNNING, err);
}

static int resume_paused(struct change *change, uint32_t unused, struct error *err)
{
    struct launcher_client *launcher = change->services->launcher;
    const struct container_record *record = &change->record;

    (void)unused;
    if (record->state == SANDBOX_RUNNING)
        return 0;
    if (record->state != SANDBOX_PAUSED)
        return refuse_state(record, "resumed", err);
    if (take_step(change, SANDBOX_RUNNING, CONTAINER_REQUESTED, err) < 0)
        return -1;
    if (launcher_client_thaw(launcher, &record->id, record->generation, err) == 0)
        return 0;
    return take_back(change, SANDBOX_PAUSED, err);
}

static int start_stopped(struct change *change, uint32_t unused, struct error *err)
{
    (void)unused;
    return start(change, err);
}

typedef int (*change_function)(struct change *change, uint32_t timeout_s, struct error *err);

static int run_change(struct change *change, const struct id *id, change_function function,
                      uint32_t timeout_s, struct error *err)
{
    if (store_container_get(change->services->db, &change->scope, id, &change->record, err) < 0)
        return -1;
    if (change->record.state == SANDBOX_DELETING)
        return refuse_state(&change->record, "changed", err);
    return function(change, timeout_s, err);
}

/* Runs `function` on the container while no other change of it is under way in this server. */
static int make_change(struct services *services, const struct caller *caller, const struct id *id,
                       change_function function, uint32_t timeout_s,
                       struct container_record *ret_record, struct error *err)
{
    _cleanup_(change_done) struct change change = {
        .services = services,
        .caller = caller,
        .scope = caller_scope(caller),
    };
    int status;

    if (transitions_enter(&services->transitions, id, err) < 0)
        return -1;
    status = run_change(&change, id, function, timeout_s, err);
    transitions_leave(&services->transitions, id);
    if (status < 0)
        return -1;
    *ret_record = change.record;
    change.record = (struct container_record){.owner = NULL};
    return 0;
}

int containers_start(struct services *services, const struct caller *caller, const struct id *id,
                     struct container_record *ret_record, struct error *err)
{
    return make_change(services, caller, id, start_stopped, 0, ret_record, err);
}

int containers_stop(struct services *services, const struct caller *caller, const struct id *id,
                    uint32_t timeout_s, struct container_record *ret_record, struct error *err)
{
    return make_change(services, caller, id, stop, timeout_s, ret_record, err);
}

int containers_restart(struct services *services, const struct caller *caller, const struct id *id,
                       uint32_t timeout_s, struct container_record *ret_record, struct error *err)
{
    return make_change(services, caller, id, restart, timeout_s, ret_record, err);
}

int containers_pause(struct services *services, const struct caller *caller, const struct id *id,
                     struct container_record *ret_record, struct error *err)
{
    return make_change(services, caller, id, pause_running, 0, ret_record, err);
}

int containers_resume(struct services *services, const struct caller *caller, const struct id *id,
                      struct container_record *ret_record, struct error *err)
{
    return make_change(services, caller, id, resume_paused, 0, ret_record, err);
}
