#include "server/services/execution.h"

#include "lib/base/util.h"
#include "lib/db/store_once.h"
#include "lib/db/store_run.h"
#include "lib/runtime/agent_client.h"
#include "lib/runtime/launcher_client.h"
#include "server/services/command_policies.h"
#include "server/services/environment.h"
#include "server/services/late_records.h"
#include "server/services/runtimes.h"

#include <atoll/cleanup.h>
#include <atoll/log.h>
#include <signal.h>
#include <string.h>

enum {
    KILL_GRACE_MS = 500,       /* from TERM to KILL at the time limit */
    AGENT_EXTRA_MS = 5 * 1000, /* so long after its own deadlines the agent must have answered */
    RUN_EXTRA_MS = 30 * 1000,  /* a run is over so long after its time limit, whatever happens */
};

/* One execution under way: what was begun, and what will be recorded and answered. */
struct run {
    struct services *services;
    const struct caller *caller;
    const struct execution_once *once; /* NULL: of a stored definition */
    struct sandbox_definition stored;  /* what began the run brought, where it is stored */
    const struct sandbox_definition *definition;
    struct store_run_end end; /* with the identity of the run */
    struct execution_result result;
    struct admission_ticket ticket;
    bool overdue;      /* the agent did not tell the command's end: it is killed from outside */
    char *policy_json; /* of the project's commands, where it is not stored; NULL: none */
    bool refused;      /* by it: nothing ran */
    bool ending;       /* the sandbox is killed, and not all of it known to be gone */
};

/* Microseconds since *mark, which moves to now. */
static int64_t lap(int64_t *mark)
{
    int64_t now = monotonic_usec();
    int64_t passed = now - *mark;

    *mark = now;
    return passed;
}

static int begin_once(struct run *run, const struct store_run *row,
                      const struct store_origin *origin, struct error *err)
{
    struct db_scope scope = caller_scope(run->caller);

    run->definition = run->once->definition;
    run->end.generation = 1;
    return store_once_begin(run->services->db, &scope, row, run->definition->memory_limit_mb,
                            run->once->project, origin, &run->policy_json, err);
}

static int begin(struct run *run, struct error *err)
{
    const struct services *services = run->services;
    struct store_origin origin = caller_origin(run->caller);
    struct db_scope scope = caller_scope(run->caller);
    /* The time limit is in the definition that this brings; the largest one bounds it. */
    struct store_run row = {
        .sandbox = run->end.sandbox,
        .node_id = services->node_id,
        .boot_id = services->boot_id,
        .deadline_ms = (uint64_t)services->config->sandbox_max_timeout_ms + RUN_EXTRA_MS,
        .cpu_milli = (uint32_t)services->config->sandbox_cpu_milli,
        .pids_max = (uint32_t)services->config->sandbox_pids,
    };

    if (id_new(&row.id, err) < 0)
        return -1;
    run->end.id = row.id;
    run->end.node_id = services->node_id;
    run->end.boot_id = services->boot_id;
    if (run->once) {
        row.sandbox = run->end.sandbox = row.id;
        return begin_once(run, &row, &origin, err);
    }
    run->definition = &run->stored;
    return store_run_begin(services->db, &scope, &row, &origin, &run->end.generation, &run->stored,
                           err);
}

static int create(struct run *run, const char *image, struct error *err)
{
    const struct config *config = run->services->config;
    struct launcher_request request = {
        .id = run->end.sandbox,
        .generation = run->end.generation,
        .profile = LAUNCHER_PROFILE_STRICT,
        .upper =
            strcmp(config->sandbox_disk, "disk") == 0 ? LAUNCHER_UPPER_DISK : LAUNCHER_UPPER_TMPFS,
        .pids_max = (uint32_t)config->sandbox_pids,
        .cpu_milli = (uint32_t)config->sandbox_cpu_milli,
        .memory_bytes = (uint64_t)run->definition->memory_limit_mb << 20,
        .upper_bytes = (uint64_t)config->sandbox_disk_mb << 20,
    };

    (void)snprintf(request.image, sizeof(request.image), "%s", image);
    if (launcher_client_create(run->services->launcher, &request, NULL, err) == 0)
        return 0;
    if (err->code == ERR_RUNTIME_MISSING)
        return error_set(err, ERR_RUNTIME_MISSING,
                         "the runtime '%s' needs the image '%s', which is not installed here "
                         "(atoll image build %s)",
                         run->definition->runtime, image, image);
    return -1;
}

/* The definition's files and the code itself: the last of a path wins. Only the array is new. */
static int gather_files(const struct run *run, const struct launch_plan *plan,
                        struct sandbox_files *ret_files, struct error *err)
{
    const struct sandbox_definition *definition = run->definition;
    size_t count = definition->files.count;
    struct sandbox_file *items = calloc(count + 1, sizeof(*items));

    if (!items)
        return error_no_memory(err);
    if (count > 0)
        memcpy(items + plan->code_yields, definition->files.items, count * sizeof(*items));
    items[plan->code_yields ? 0 : count] = (struct sandbox_file){
        .path = plan->entry_path,
        .content = definition->code,
        .size = definition->code_size,
        .executable = true, /* for code that names its interpreter by #! */
    };
    ret_files->items = items;
    ret_files->count = count + 1;
    return 0;
}

/*
 * A sandbox so busy that its agent gets no turn within AGENT_EXTRA_MS has outlived its time limit
 * all the same: destroy() kills it as a whole, and so the command.
 */
static void judge_overdue(struct agent_exec_result *exec, int64_t waited_usec)
{
    exec->signal = SIGKILL;
    exec->timed_out = true;
    exec->wall_usec = (uint64_t)waited_usec;
}

static void take_exec_result(struct run *run, struct agent_exec_result *exec)
{
    struct execution_result *result = &run->result;

    run->overdue = exec->overdue;
    result->out = TAKE_PTR(exec->out);
    result->out_size = exec->out_size;
    result->err = TAKE_PTR(exec->err);
    result->err_size = exec->err_size;
    result->exited = exec->signal == 0;
    result->exit_code = exec->exit_code;
    result->signal = exec->signal;
    result->timed_out = exec->timed_out;
    result->truncated = exec->out_truncated || exec->err_truncated;
    result->wall_usec = (int64_t)exec->wall_usec;
}

/* Runs the command through the agent. *ret_lost tells a sandbox that ended from other failures. */
static int run_command(struct run *run, const struct launch_plan *plan, bool *ret_lost,
                       struct error *err)
{
    const struct config *config = run->services->config;
    const struct agent_owner owner = {.user = SANDBOX_USER, .privileged = true};
    _cleanup_agent_client_ struct agent_client *client = NULL;
    _cleanup_environment_ char **environment = NULL;
    _cleanup_free_ struct sandbox_file *items = NULL;
    struct agent_exec_request request = {
        .argv = plan->argv,
        .cwd = SANDBOX_FOLDER,
        .user = SANDBOX_USER,
        .timeout_ms = run->definition->timeout_ms,
        .grace_ms = KILL_GRACE_MS,
        .max_output = (uint64_t)config->sandbox_max_output,
        .kill_leftovers = true,
        .stdin_data = run->once ? run->once->stdin_data : NULL,
        .stdin_size = run->once ? run->once->stdin_size : 0,
    };
    int64_t start = monotonic_usec();
    int64_t deadline =
        start + ((int64_t)run->definition->timeout_ms + KILL_GRACE_MS + AGENT_EXTRA_MS) * 1000;
    struct agent_exec_result exec = {0};
    struct sandbox_files files = {0};

    if (environment_make(run->definition->env_json, &environment, err) < 0 ||
        gather_files(run, plan, &files, err) < 0)
        return -1;
    items = files.items;
    request.env = (const char *const *)environment;
    if (launcher_client_connect_agent(run->services->launcher, &run->end.sandbox,
                                      run->end.generation, deadline, &client, err) < 0)
        return -1;
    if (agent_client_run(client, &files, &owner, &request, deadline, &exec, err) < 0) {
        *ret_lost = agent_client_lost(client);
        return -1;
    }
    if (exec.overdue)
        judge_overdue(&exec, monotonic_usec() - start);
    take_exec_result(run, &exec);
    agent_exec_result_free(&exec);
    return 0;
}

/* What the launcher counted, whatever the sandbox claims. Unknown counters stay negative. */
static void take_usage(struct run *run, const struct launcher_usage *usage)
{
    if (usage->cpu_usec != UINT64_MAX)
        run->end.cpu_usec = (int64_t)usage->cpu_usec;
    if (usage->memory_peak_bytes != UINT64_MAX)
        run->end.memory_peak_bytes = (int64_t)usage->memory_peak_bytes;
    run->result.oom_killed = usage->oom_kills != UINT64_MAX && usage->oom_kills > 0;
}

/*
 * The agent has killed all but itself when it answers, so the counters of this moment are the
 * final ones; the kernel takes the sandbox apart while the end is recorded. Without its answer
 * they are final, and the command surely dead, when nothing is left.
 */
static int destroy(struct run *run, struct error *err)
{
    struct launcher_client *launcher = run->services->launcher;
    const struct id *sandbox = &run->end.sandbox;
    uint32_t generation = run->end.generation;
    struct launcher_usage usage;

    if (run->overdue
            ? launcher_client_destroy(launcher, sandbox, generation, &usage, err) < 0
            : launcher_client_destroy_early(launcher, sandbox, generation, &usage, err) < 0)
        return -1;
    take_usage(run, &usage);
    run->ending = !run->overdue;
    return 0;
}

/* The worker sweeps what cannot be destroyed; the result stands. */
static void log_destroy_error(const struct run *run, const struct error *error)
{
    if (error->code != ERR_NOT_FOUND)
        log_error("cannot destroy generation %u: %s", run->end.generation, error->message);
}

/* Nobody is answered while anything of the sandbox is left. */
static void wait_until_gone(const struct run *run)
{
    struct error err;

    if (run->ending && launcher_client_destroy(run->services->launcher, &run->end.sandbox,
                                               run->end.generation, NULL, &err) < 0)
        log_destroy_error(run, &err);
}

static bool is_deleted(const struct run *run)
{
    _cleanup_(sandbox_record_free) struct sandbox_record record = {0};
    struct db_scope scope = caller_scope(run->caller);
    struct error err;

    if (store_sandbox_get(run->services->db, &scope, &run->end.sandbox, &record, &err) < 0)
        return err.code == ERR_NOT_FOUND;
    return record.state == SANDBOX_DELETING;
}

/*
 * The command has no result. The memory limit may have taken the agent with it: that is one. A
 * sandbox that ended by somebody's delete is the caller's to know; anything else stays in `err`.
 */
static int explain_failure(struct run *run, bool lost, struct error *err)
{
    if (lost && run->result.oom_killed) {
        run->result.signal = SIGKILL;
        return 0;
    }
    if (err->code == ERR_UNAVAILABLE && !run->once && is_deleted(run))
        return error_set(err, ERR_CONFLICT, "the sandbox was deleted while it ran");
    return -1;
}

static int run_in_sandbox(struct run *run, const struct launch_plan *plan, struct error *err)
{
    struct execution_stages *stages = &run->result.stages;
    int64_t mark = monotonic_usec();
    struct error destroy_error = {0};
    bool lost = false;
    int result, destroyed;

    if (create(run, plan->image, err) < 0)
        return -1;
    admission_started(run->services->admission, &run->ticket);
    stages->create_usec = lap(&mark);
    result = run_command(run, plan, &lost, err);
    stages->run_usec = lap(&mark);
    destroyed = destroy(run, &destroy_error);
    stages->destroy_usec = lap(&mark);
    if (destroyed < 0)
        log_destroy_error(run, &destroy_error);
    if (destroyed < 0 && run->overdue)
        result = error_set(err, ERR_UNAVAILABLE, "the sandbox was not done in time, nor killed");
    return result < 0 ? explain_failure(run, lost, err) : 0;
}

static int ask_policy(struct run *run, struct error *err)
{
    const char *policy = run->once ? run->policy_json : run->stored.policy_json;

    if (!policy ||
        command_policies_ask_run(policy, run->definition, run->result.policy_notice, err) == 0)
        return 0;
    run->refused = true;
    return -1;
}

static int perform(struct run *run, struct error *err)
{
    _cleanup_(launch_plan_free) struct launch_plan plan = {0};

    if (ask_policy(run, err) < 0 || launch_plan_make(run->definition, &plan, err) < 0)
        return -1;
    return run_in_sandbox(run, &plan, err);
}

static enum process_state end_state(const struct run *run, int performed)
{
    const struct execution_result *result = &run->result;

    if (performed < 0)
        return run->refused ? PROCESS_FAILED : PROCESS_LOST; /* nobody saw a wait status */
    if (!result->exited || result->timed_out)
        return PROCESS_KILLED;
    return result->exit_code == 0 ? PROCESS_COMPLETED : PROCESS_FAILED;
}

/* The durable end. With PostgreSQL away it is kept for later, and the answer says so. */
static void record(struct run *run, int performed)
{
    struct execution_result *result = &run->result;
    struct store_origin origin = caller_origin(run->caller);
    struct db_scope scope = caller_scope(run->caller);
    struct error err;

    run->end.state = end_state(run, performed);
    run->end.exit_code = performed == 0 && result->exited ? result->exit_code : -1;
    run->end.signal = result->signal;
    run->end.timed_out = result->timed_out;
    run->end.oom_killed = result->oom_killed;
    run->end.truncated = result->truncated;
    run->end.wall_usec = performed == 0 ? result->wall_usec : -1;
    result->recorded = store_run_end(run->services->db, &scope, &run->end, &origin, &err) == 0;
    if (result->recorded)
        return;
    if (err.code != ERR_UNAVAILABLE ||
        !late_records_add(run->services->late_records, &scope, &run->end))
        log_error("the end of generation %u cannot be recorded: %s", run->end.generation,
                  err.message);
}

/* PostgreSQL may have committed a begin that it did not answer, or never have heard of it. */
static void end_in_doubt(struct run *run)
{
    struct db_scope scope = caller_scope(run->caller);

    run->end.in_doubt = true;
    run->end.state = PROCESS_FAILED;
    run->end.exit_code = -1;
    run->end.wall_usec = -1;
    (void)late_records_add(run->services->late_records, &scope, &run->end);
}

static int run_admitted(struct run *run, struct error *err)
{
    struct execution_stages *stages = &run->result.stages;
    int64_t mark = monotonic_usec();
    int performed;

    if (begin(run, err) < 0) {
        if (err->code == ERR_UNAVAILABLE)
            end_in_doubt(run);
        return -1;
    }
    stages->begin_usec = lap(&mark);
    performed = perform(run, err);
    admission_yield(run->services->admission, &run->ticket); /* what is left waits for a disk */
    mark = monotonic_usec();
    record(run, performed);
    stages->record_usec = lap(&mark);
    wait_until_gone(run);
    stages->destroy_usec += lap(&mark);
    return performed;
}

/* Within the limit of executions at once. Frees all of the run but its result. */
static int run_to_end(struct run *run, struct error *err)
{
    struct admission *admission = run->services->admission;
    int result;

    if (admission_enter(admission, &run->caller->tenant, true, &run->ticket, err) < 0)
        return -1;
    result = run_admitted(run, err);
    admission_leave(admission, &run->ticket);
    sandbox_definition_free(&run->stored);
    free(run->policy_json);
    if (result < 0)
        execution_result_free(&run->result);
    return result;
}

int execution_run(struct services *services, const struct caller *caller, const struct id *sandbox,
                  struct execution_result *ret_result, struct error *err)
{
    struct run run = {
        .services = services,
        .caller = caller,
        .end = {.sandbox = *sandbox, .cpu_usec = -1, .memory_peak_bytes = -1},
    };

    if (run_to_end(&run, err) < 0)
        return -1;
    *ret_result = run.result;
    return 0;
}

int execution_run_once(struct services *services, const struct caller *caller,
                       const struct execution_once *once, struct id *ret_id,
                       struct execution_result *ret_result, struct error *err)
{
    struct run run = {
        .services = services,
        .caller = caller,
        .once = once,
        .end = {.cpu_usec = -1, .memory_peak_bytes = -1},
    };

    if (run_to_end(&run, err) < 0)
        return -1;
    *ret_id = run.end.id;
    *ret_result = run.result;
    return 0;
}

void execution_result_free(struct execution_result *result)
{
    free(result->out);
    free(result->err);
    *result = (struct execution_result){0};
}
