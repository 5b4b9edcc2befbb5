#include "server/services/processes.h"

#include "lib/base/util.h"
#include "lib/runtime/launcher_client.h"
#include "server/services/activity.h"
#include "server/services/environment.h"
#include "server/services/process_agent.h"
#include "server/services/waits.h"

#include <atoll/log.h>
#include <errno.h>
#include <signal.h>
#include <string.h>

enum {
    LOOK_MS = 1000, /* for what the answer can do without */
    INPUT_MS = 30 * 1000,
    LOG_LINES = 10 * 1000,
    FORGET_AT_ONCE = AGENT_PROCESSES_MAX / 2,
};

#define LOG_BYTES (UINT64_C(16) << 20)

void process_info_free(struct process_info *info)
{
    store_process_free(&info->row);
}

void process_info_list_free(struct process_info_list *list)
{
    free(list->items);
    store_process_list_free(&list->rows);
}

static int64_t deadline_in(int64_t ms)
{
    return monotonic_usec() + ms * 1000;
}

/* --- ends */

/* Makes the end that the agent has seen the row's, durably, before anybody is told. */
static int take_end(struct services *services, const struct db_scope *scope,
                    struct process_info *info, struct error *err)
{
    struct process_end end;
    bool found;

    if (!info->is_live || info->live.state != AGENT_PROCESS_ENDED ||
        info->row.state != PROCESS_RUNNING)
        return 0;
    end = agent_process_end(&info->live, &info->row.sandbox);
    if (store_process_end(services->db, scope, &end, &found, err) < 0)
        return -1;
    store_process_take_end(&info->row, &end);
    return 0;
}

static bool is_at_agent(const struct store_process *row)
{
    return row->is_reachable && row->kind == STORE_PROCESS_DETACHED;
}

/*
 * Asks the agent, once the process has ended or the time has passed. An agent that does not answer
 * says nothing: the row is what is known then.
 */
static void look(struct services *services, uint32_t timeout_ms, struct process_info *info)
{
    _cleanup_agent_client_ struct agent_client *client = NULL;
    int64_t deadline = deadline_in((int64_t)timeout_ms + LOOK_MS);
    const struct store_process *row = &info->row;
    struct error unneeded;

    if (!is_at_agent(row) || (row->state != PROCESS_RUNNING && timeout_ms > 0))
        return;
    info->is_live =
        launcher_client_connect_agent(services->launcher, &row->sandbox, row->generation, deadline,
                                      &client, &unneeded) == 0 &&
        agent_process_wait(client, &row->id, timeout_ms, deadline, &info->live, &unneeded) == 0;
}

/* --- start */

static int end_one(struct services *services, const struct db_scope *scope,
                   const struct id *sandbox, const struct agent_process *process, struct error *err)
{
    const struct process_end end = agent_process_end(process, sandbox);
    bool found;

    return store_process_end(services->db, scope, &end, &found, err);
}

/* Makes room in the agent's table: the ends of the oldest are recorded, then they and their logs
 * are gone. */
static int make_room(struct services *services, const struct caller *caller,
                     const struct id *sandbox, struct agent_client *client, struct error *err)
{
    const struct db_scope scope = {.tenant = caller->tenant};
    _cleanup_free_ struct agent_process *processes = NULL;
    int64_t deadline = deadline_in(PROCESS_AGENT_MS);
    size_t count = 0;
    size_t forgotten = 0;

    if (agent_process_list(client, deadline, &processes, &count, err) < 0)
        return -1;
    for (size_t i = 0; i < count && forgotten < FORGET_AT_ONCE; i++) {
        if (processes[i].state != AGENT_PROCESS_ENDED)
            continue;
        if (end_one(services, &scope, sandbox, &processes[i], err) < 0 ||
            agent_process_forget(client, &processes[i].id, true, deadline, err) < 0)
            return -1;
        forgotten++;
    }
    if (forgotten == 0)
        return error_set(err, ERR_TOO_MANY, "%d processes of the sandbox run already",
                         AGENT_PROCESSES_MAX);
    return 0;
}

static int send_start(struct services *services, const struct caller *caller,
                      const struct id *sandbox, const struct store_process_place *place,
                      const struct agent_start_request *request, struct agent_process *ret_process,
                      struct error *err)
{
    int64_t deadline = deadline_in(PROCESS_AGENT_MS);
    _cleanup_agent_client_ struct agent_client *client = NULL;

    if (launcher_client_connect_agent(services->launcher, sandbox, place->generation, deadline,
                                      &client, err) < 0)
        return -1;
    if (agent_process_start(client, request, deadline, ret_process, err) == 0)
        return 0;
    if (err->code != ERR_TOO_MANY || make_room(services, caller, sandbox, client, err) < 0)
        return -1;
    return agent_process_start(client, request, deadline, ret_process, err);
}

static int start_begun(struct services *services, const struct caller *caller,
                       const struct id *sandbox, const struct store_process_place *place,
                       const struct process_spec *spec, const struct id *id,
                       struct agent_process *ret_process, struct error *err)
{
    _cleanup_environment_ char **environment = NULL;
    struct agent_start_request request = {
        .id = *id,
        .argv = spec->argv,
        .cwd = spec->cwd ? spec->cwd : SANDBOX_FOLDER,
        .user = spec->user ? spec->user : SANDBOX_USER,
        .input = spec->input && !spec->terminal,
        .terminal = spec->terminal,
        .rows = spec->rows,
        .columns = spec->columns,
        .timeout_ms = spec->timeout_ms,
        .grace_ms = PROCESS_GRACE_MS,
        .log_bytes = spec->log_bytes ? spec->log_bytes : LOG_BYTES,
        .log_lines = spec->log_lines ? spec->log_lines : LOG_LINES,
    };

    if (process_environment(place->env_json, spec, &environment, err) < 0)
        return -1;
    request.env = (const char *const *)environment;
    return send_start(services, caller, sandbox, place, &request, ret_process, err);
}

int processes_start(struct services *services, const struct caller *caller,
                    const struct id *sandbox, const struct process_spec *spec,
                    struct process_info *ret_info, struct error *err)
{
    _cleanup_(store_process_place_free) struct store_process_place place = {.owner = NULL};
    struct agent_process process;
    struct id id;

    if (process_check(spec, err) < 0 || process_begin(services, caller, sandbox, spec,
                                                      STORE_PROCESS_DETACHED, &id, &place, err) < 0)
        return -1;
    if (start_begun(services, caller, sandbox, &place, spec, &id, &process, err) < 0) {
        /* Where nobody knows whether it runs, the worker finds out. */
        if (err->code != ERR_UNAVAILABLE)
            process_abandon(services, caller, &id, err);
        return process_explain_failure(spec, err);
    }
    return processes_get(services, caller, sandbox, &id, ret_info, err);
}

static int feed(struct services *services, const struct process_info *info, const void *data,
                size_t size, struct error *err)
{
    _cleanup_agent_client_ struct agent_client *client = NULL;
    const struct store_process *row = &info->row;
    int64_t deadline = deadline_in(INPUT_MS);

    if (launcher_client_connect_agent(services->launcher, &row->sandbox, row->generation, deadline,
                                      &client, err) < 0)
        return -1;
    return agent_process_input(client, &row->id, data, size, true, deadline, err);
}

/* The process has ended, or reads no more. */
static bool is_over(const struct error *failure)
{
    return failure->code == ERR_CONFLICT || failure->code == ERR_NOT_FOUND;
}

/* 0 when it has ended by itself. A command with a part of its stdin would go on as if that were
 * all. */
static int end_unfed(struct services *services, const struct process_info *info, struct error *err)
{
    _cleanup_agent_client_ struct agent_client *client = NULL;
    const struct store_process *row = &info->row;
    int64_t deadline = deadline_in(PROCESS_AGENT_MS);
    struct error failure;

    if (launcher_client_connect_agent(services->launcher, &row->sandbox, row->generation, deadline,
                                      &client, &failure) < 0 ||
        agent_process_signal(client, &row->id, SIGKILL, AGENT_SIGNAL_TREE, true, deadline,
                             &failure) < 0)
        return is_over(&failure) ? 0 : -1;
    return error_set_field(err, ERR_NOT_POSSIBLE, "stdin",
                           "the command did not read all of 'stdin' within %d s and was killed: "
                           "start a process and write to it instead",
                           INPUT_MS / 1000);
}

int processes_start_with_input(struct services *services, const struct caller *caller,
                               const struct id *sandbox, const struct process_spec *spec,
                               const void *data, size_t size, struct process_info *ret_info,
                               struct error *err)
{
    _cleanup_wait_ struct wait_place place = {.places = NULL};
    struct process_info info = {.is_live = false};

    if (wait_enter(services, caller, &place, err) < 0 ||
        processes_start(services, caller, sandbox, spec, &info, err) < 0)
        return -1;
    if (feed(services, &info, data, size, err) < 0 && !is_over(err) &&
        end_unfed(services, &info, err) < 0) {
        process_info_free(&info);
        return -1;
    }
    *ret_info = info;
    return 0;
}

/* --- get, list, wait */

int processes_wait(struct services *services, const struct caller *caller, const struct id *sandbox,
                   const struct id *id, uint32_t timeout_ms, struct process_info *ret_info,
                   struct error *err)
{
    _cleanup_wait_ struct wait_place place = {.places = NULL};
    struct db_scope scope = caller_scope(caller);
    struct process_info info = {.is_live = false};

    if (timeout_ms > 0 && wait_enter(services, caller, &place, err) < 0)
        return -1;
    if (store_process_get(services->db, &scope, sandbox, id, &info.row, err) < 0)
        return -1;
    look(services, timeout_ms, &info);
    if (take_end(services, &scope, &info, err) < 0) {
        process_info_free(&info);
        return -1;
    }
    *ret_info = info;
    return 0;
}

int processes_get(struct services *services, const struct caller *caller, const struct id *sandbox,
                  const struct id *id, struct process_info *ret_info, struct error *err)
{
    return processes_wait(services, caller, sandbox, id, 0, ret_info, err);
}

int processes_get_main(struct services *services, const struct caller *caller,
                       const struct id *sandbox, struct process_info *ret_info, struct error *err)
{
    struct db_scope scope = caller_scope(caller);
    struct process_info info = {.is_live = false};

    if (store_process_main(services->db, &scope, sandbox, &info.row, err) < 0)
        return -1;
    look(services, 0, &info);
    *ret_info = info;
    return 0;
}

/* What the agent knows of a sandbox's processes; none when it does not answer. */
static struct agent_process *look_at_all(struct services *services, const struct store_process *row,
                                         size_t *ret_count)
{
    _cleanup_agent_client_ struct agent_client *client = NULL;
    int64_t deadline = deadline_in(LOOK_MS);
    struct agent_process *processes = NULL;
    struct error unneeded;

    *ret_count = 0;
    if (launcher_client_connect_agent(services->launcher, &row->sandbox, row->generation, deadline,
                                      &client, &unneeded) == 0)
        (void)agent_process_list(client, deadline, &processes, ret_count, &unneeded);
    return processes;
}

static int merge_live(struct services *services, const struct db_scope *scope,
                      struct process_info_list *list, struct error *err)
{
    _cleanup_free_ struct agent_process *processes = NULL;
    size_t count = 0;

    for (size_t i = 0; i < list->count; i++) {
        struct process_info *info = &list->items[i];
        const struct agent_process *live;

        if (!is_at_agent(&info->row))
            continue;
        if (!processes)
            processes = look_at_all(services, &info->row, &count);
        live = agent_process_find(processes, count, &info->row.id);
        if (!live)
            continue;
        info->is_live = true;
        info->live = *live;
        if (take_end(services, scope, info, err) < 0)
            return -1;
    }
    return 0;
}

static int read_list(struct services *services, const struct db_scope *scope,
                     const struct id *sandbox, const struct store_process_filter *filter,
                     struct process_info_list *list, struct error *err)
{
    struct store_process_filter page = *filter;

    /* One more than asked for tells whether there is another page. */
    page.limit++;
    if (store_process_list(services->db, scope, sandbox, &page, &list->rows, err) < 0)
        return -1;
    list->count = list->rows.count < filter->limit ? list->rows.count : filter->limit;
    list->items = calloc(list->count + 1, sizeof(*list->items));
    if (!list->items)
        return error_set_errno(err, ENOMEM, "cannot list processes");
    for (size_t i = 0; i < list->count; i++)
        list->items[i].row = list->rows.items[i];
    return merge_live(services, scope, list, err);
}

int processes_list(struct services *services, const struct caller *caller, const struct id *sandbox,
                   const struct store_process_filter *filter, struct process_info_list *ret_list,
                   bool *ret_more, struct error *err)
{
    struct db_scope scope = caller_scope(caller);
    struct process_info_list list = {.items = NULL};

    if (read_list(services, &scope, sandbox, filter, &list, err) < 0) {
        process_info_list_free(&list);
        return -1;
    }
    *ret_more = list.rows.count > filter->limit;
    *ret_list = list;
    return 0;
}

/* --- what is done to a process that runs */

static int connect_running(struct services *services, const struct caller *caller,
                           const struct id *sandbox, const struct id *id, int64_t deadline,
                           struct agent_client **ret_client, struct error *err)
{
    struct db_scope scope = caller_scope(caller);
    _cleanup_(store_process_free) struct store_process row = {.owner = NULL};

    if (store_process_get(services->db, &scope, sandbox, id, &row, err) < 0)
        return -1;
    if (row.state != PROCESS_RUNNING)
        return error_set(err, ERR_CONFLICT, "the process does not run: it is %s",
                         process_state_name(row.state));
    if (!is_at_agent(&row))
        return error_set(err, ERR_CONFLICT,
                         "an exec, whose request waits for it, takes no signals "
                         "and no input; nor does what lost its sandbox");
    activity_note(services->activity, &caller->tenant, sandbox);
    return launcher_client_connect_agent(services->launcher, sandbox, row.generation, deadline,
                                         ret_client, err);
}

/* The agent's table has no such process: it has not been started, or was forgotten. */
static int not_there(struct error *err)
{
    if (err->code == ERR_NOT_FOUND)
        return error_set(err, ERR_CONFLICT, "the process does not run");
    return -1;
}

int processes_signal(struct services *services, const struct caller *caller,
                     const struct id *sandbox, const struct id *id, int signum,
                     enum agent_signal_target target, struct error *err)
{
    _cleanup_agent_client_ struct agent_client *client = NULL;
    int64_t deadline = deadline_in(PROCESS_AGENT_MS);

    if (connect_running(services, caller, sandbox, id, deadline, &client, err) < 0)
        return -1;
    if (agent_process_signal(client, id, signum, target, false, deadline, err) < 0)
        return not_there(err);
    return 0;
}

int processes_input(struct services *services, const struct caller *caller,
                    const struct id *sandbox, const struct id *id, const void *data, size_t size,
                    bool close_after, struct error *err)
{
    _cleanup_agent_client_ struct agent_client *client = NULL;
    _cleanup_wait_ struct wait_place place = {.places = NULL};
    int64_t deadline = deadline_in(INPUT_MS);

    if (wait_enter(services, caller, &place, err) < 0 ||
        connect_running(services, caller, sandbox, id, deadline, &client, err) < 0)
        return -1;
    if (agent_process_input(client, id, data, size, close_after, deadline, err) < 0)
        return not_there(err);
    return 0;
}

int processes_resize(struct services *services, const struct caller *caller,
                     const struct id *sandbox, const struct id *id, uint16_t rows, uint16_t columns,
                     struct error *err)
{
    _cleanup_agent_client_ struct agent_client *client = NULL;
    int64_t deadline = deadline_in(PROCESS_AGENT_MS);

    if (connect_running(services, caller, sandbox, id, deadline, &client, err) < 0)
        return -1;
    if (agent_process_resize(client, id, rows, columns, deadline, err) < 0)
        return not_there(err);
    return 0;
}
