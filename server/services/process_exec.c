/*
 * Commands whose request waits for their end: see processes.h.
 *
 * Most are over at once, and a row that is written twice costs as much as the command. So the row
 * is written with the end, if that comes soon; nobody knows its id before. It is begun before the
 * command where that matters: a policy decides, the request has a key, or the container could be
 * found idle meanwhile.
 */
#include "lib/base/util.h"
#include "server/services/agents.h"
#include "server/services/environment.h"
#include "server/services/process_agent.h"
#include "server/services/waits.h"

#include <atoll/log.h>
#include <string.h>

enum {
    AGENT_EXTRA_MS = 5 * 1000, /* so long after its own deadlines the agent must have answered */
    UNWRITTEN_MS = 200,        /* a command that runs longer has a row */
};

void process_result_free(struct process_result *result)
{
    free(result->out);
    free(result->err);
    memset(result, 0, sizeof(*result));
}

/* One command under way. */
struct command {
    struct services *services;
    const struct caller *caller;
    const struct id *sandbox;
    const struct process_spec *spec;
    struct id id;
    struct store_process_place place;
    bool may_have_row; /* PostgreSQL may also have forgotten it: it was not waited for */
};

/* Writes the row as it is now: over with `end`, or under way (NULL). */
static int write_row(const struct command *command, const struct process_end *end,
                     struct error *err)
{
    const struct store_process_new process = {
        .id = command->id,
        .sandbox = *command->sandbox,
        .kind = STORE_PROCESS_EXEC,
        .command_json = command->spec->command_json,
        .tag = command->spec->tag,
        .node_id = command->services->node_id,
        .boot_id = command->services->boot_id,
        .deadline_ms = process_exec_deadline_ms(command->services),
    };
    struct db_scope scope = caller_scope(command->caller);
    struct store_origin origin = caller_origin(command->caller);

    return store_process_write(command->services->db, &scope, &process, &command->place, end,
                               &origin, err);
}

/* An agent_exec_request's on_slow. */
static bool write_slow(void *user)
{
    struct command *command = user;
    struct error err;

    command->may_have_row = true;
    if (write_row(command, NULL, &err) == 0)
        return true;
    log_warn("a command that runs is not recorded yet: %s", err.message);
    return false;
}

static uint32_t time_limit(const struct command *command)
{
    const struct config *config = command->services->config;
    uint32_t most = (uint32_t)config->sandbox_max_timeout_ms;
    uint32_t limit = command->spec->timeout_ms;

    if (limit == 0)
        limit = command->place.command_timeout_ms;
    if (limit == 0)
        limit = command->spec->fallback_ms;
    if (limit == 0)
        limit = (uint32_t)config->sandbox_timeout_ms;
    return limit < most ? limit : most;
}

static int run_at_agent(const struct command *command, struct agent_exec_request *request,
                        struct agent_exec_result *ret_exec, struct error *err)
{
    int64_t deadline =
        monotonic_usec() +
        ((int64_t)request->timeout_ms + PROCESS_GRACE_MS + AGENT_EXTRA_MS) * INT64_C(1000);
    _cleanup_environment_ char **environment = NULL;
    _cleanup_agent_use_ struct agent_use use = {.client = NULL};

    if (process_environment(command->place.env_json, command->spec, &environment, err) < 0 ||
        agents_connect(command->services, command->sandbox, command->place.generation, deadline,
                       &use, err) < 0)
        return -1;
    request->env = (const char *const *)environment;
    return agent_client_exec(use.client, request, deadline, ret_exec, err);
}

static enum process_state state_of(const struct agent_exec_result *exec)
{
    if (exec->overdue)
        return PROCESS_LOST;
    if (exec->signal != 0 || exec->timed_out)
        return PROCESS_KILLED;
    return exec->exit_code == 0 ? PROCESS_COMPLETED : PROCESS_FAILED;
}

/* Moves the output. */
static void take_result(const struct command *command, struct agent_exec_result *exec,
                        struct process_result *result)
{
    *result = (struct process_result){
        .id = command->id,
        .out_size = exec->out_size,
        .err_size = exec->err_size,
        .state = state_of(exec),
        .exit_code = exec->overdue ? -1 : exec->exit_code,
        .signal = exec->signal,
        .timed_out = exec->timed_out || exec->overdue,
        .truncated = exec->out_truncated || exec->err_truncated || exec->overdue,
        .wall_usec = (int64_t)exec->wall_usec,
    };
    result->out = TAKE_PTR(exec->out);
    result->err = TAKE_PTR(exec->err);
}

/* The end stands in PostgreSQL before it is answered. */
static int record_end(const struct command *command, const struct process_end *end,
                      struct error *err)
{
    struct db_scope scope = caller_scope(command->caller);
    bool found = false;

    if (command->may_have_row &&
        store_process_end(command->services->db, &scope, end, &found, err) < 0)
        return -1;
    return found ? 0 : write_row(command, end, err);
}

static int record(const struct command *command, const struct agent_exec_result *exec,
                  const struct process_result *result, struct error *err)
{
    const struct process_end end = {
        .id = command->id,
        .state = result->state,
        .exit_code = result->exit_code,
        .signal = result->signal,
        .timed_out = result->timed_out,
        .truncated = result->truncated,
        .cpu_usec = (int64_t)(exec->user_usec + exec->system_usec),
        .memory_peak_bytes = (int64_t)exec->max_rss_bytes,
        .wall_usec = result->wall_usec,
    };

    return record_end(command, &end, err);
}

/* The command did not run, or nobody saw its end; `why` stays. */
static void abandon(const struct command *command, const struct error *why)
{
    const struct process_end end = process_end_unseen(&command->id, why);
    struct error failure;

    if (record_end(command, &end, &failure) < 0)
        log_error("the end of a command is not recorded: %s", failure.message);
}

static int run(struct command *command, const void *stdin_data, size_t stdin_size,
               struct process_result *ret_result, struct error *err)
{
    const struct process_spec *spec = command->spec;
    struct agent_exec_request request = {
        .argv = spec->argv,
        .cwd = spec->cwd ? spec->cwd : SANDBOX_FOLDER,
        .user = spec->user ? spec->user : SANDBOX_USER,
        .stdin_data = stdin_data,
        .stdin_size = stdin_size,
        .timeout_ms = time_limit(command),
        .grace_ms = PROCESS_GRACE_MS,
        .take_memory = spec->take_memory,
        .memory_user = spec->memory_user,
        .max_output = spec->max_output ? spec->max_output
                                       : (uint64_t)command->services->config->sandbox_max_output,
        .on_slow = command->may_have_row ? NULL : write_slow,
        .slow_user = command,
        .slow_ms = UNWRITTEN_MS,
    };
    struct agent_exec_result exec = {.out = NULL};
    struct process_result result;
    int status;

    if (run_at_agent(command, &request, &exec, err) < 0) {
        abandon(command, err);
        return process_explain_failure(command->spec, err);
    }
    take_result(command, &exec, &result);
    status = record(command, &exec, &result, err);
    agent_exec_result_free(&exec);
    if (status < 0)
        process_result_free(&result);
    else
        *ret_result = result;
    return status;
}

/* Looks at the place alone, where the row may come later. */
static int begin(struct command *command, struct error *err)
{
    struct db_scope scope = caller_scope(command->caller);

    if (!scope.claim) {
        if (store_process_look(command->services->db, &scope, command->sandbox, &command->place,
                               err) < 0)
            return -1;
        if (command->place.is_fresh && !command->place.policy_json)
            return caller_new_id(command->caller, &command->id, err);
        store_process_place_free(&command->place);
    }
    command->may_have_row = true;
    return process_begin(command->services, command->caller, command->sandbox, command->spec,
                         STORE_PROCESS_EXEC, &command->id, &command->place, err);
}

int processes_exec(struct services *services, const struct caller *caller, const struct id *sandbox,
                   const struct process_spec *spec, const void *stdin_data, size_t stdin_size,
                   struct process_result *ret_result, struct error *err)
{
    struct command command = {
        .services = services, .caller = caller, .sandbox = sandbox, .spec = spec};
    _cleanup_wait_ struct wait_place place = {.places = NULL};
    int status;

    if (process_check(spec, err) < 0 || wait_enter(services, caller, &place, err) < 0)
        return -1;
    status = begin(&command, err);
    if (status == 0)
        status = run(&command, stdin_data, stdin_size, ret_result, err);
    store_process_place_free(&command.place);
    return status;
}
