#include "server/services/process_agent.h"

#include "lib/runtime/agent_check.h"
#include "server/services/environment.h"

#include <atoll/log.h>
#include <string.h>

enum { VALUE_SHOWN = 200 }; /* bytes of a program's name or a path in a message */

/* What browsers' terminals are. Without a kind no program draws on one. */
#define TERMINAL_KIND "xterm-256color"

int process_check(const struct process_spec *spec, struct error *err)
{
    return spec->user ? agent_check_user(spec->user, err) : 0;
}

/* The stored environment with the command's own over it, as JSON text. NULL without memory. */
static char *merge(const char *stored_json, const struct process_spec *spec)
{
    _cleanup_cjson_ cJSON *merged = cJSON_Parse(stored_json);
    const cJSON *entry;

    cJSON_ArrayForEach(entry, spec->environment)
    {
        cJSON_DeleteItemFromObjectCaseSensitive(merged, entry->string);
        if (!cJSON_AddStringToObject(merged, entry->string, entry->valuestring))
            return NULL;
    }
    if (spec->terminal && !cJSON_GetObjectItemCaseSensitive(merged, "TERM") &&
        !cJSON_AddStringToObject(merged, "TERM", TERMINAL_KIND))
        return NULL;
    return cJSON_PrintUnformatted(merged);
}

/* Drops what describes the default user: the agent knows what is true of another. */
static void drop_user(char **environment)
{
    static const char *const of_user[] = {"HOME=/home/user", "USER=user", "LOGNAME=user"};
    char **kept = environment;

    for (char **entry = environment; *entry; entry++) {
        bool dropped = false;

        for (size_t i = 0; i < sizeof(of_user) / sizeof(of_user[0]); i++)
            dropped = dropped || strcmp(*entry, of_user[i]) == 0;
        if (dropped)
            free(*entry);
        else
            *kept++ = *entry;
    }
    *kept = NULL;
}

int process_environment(const char *stored_json, const struct process_spec *spec,
                        char ***ret_environment, struct error *err)
{
    bool differs = spec->environment || spec->terminal;
    _cleanup_free_ char *merged = differs ? merge(stored_json, spec) : NULL;
    char **environment;

    if (differs && !merged)
        return error_no_memory(err);
    if (environment_make(merged ? merged : stored_json, &environment, err) < 0)
        return -1;
    if (spec->user && strcmp(spec->user, SANDBOX_USER) != 0)
        drop_user(environment);
    *ret_environment = environment;
    return 0;
}

uint64_t process_exec_deadline_ms(const struct services *services)
{
    return (uint64_t)services->config->sandbox_max_timeout_ms + PROCESS_GRACE_MS + PROCESS_AGENT_MS;
}

/* Asks the policy that the project has, and again the one that it may have got meanwhile. */
static int begin_permitted(struct db_pool *db, const struct db_scope *scope,
                           struct store_process_new *process, const struct process_spec *spec,
                           const struct store_origin *origin, struct store_process_place *ret_place,
                           struct error *err)
{
    for (;;) {
        struct store_process_place place;
        int status;

        if (store_process_begin(db, scope, process, origin, &place, err) < 0)
            return -1;
        if (!place.policy_json) {
            *ret_place = place;
            return 0;
        }
        status = command_policies_ask(place.policy_json, spec->argv, spec->policy_notice, err);
        process->policy_version = place.policy_version;
        store_process_place_free(&place);
        if (status < 0)
            return -1;
    }
}

int process_begin(struct services *services, const struct caller *caller, const struct id *sandbox,
                  const struct process_spec *spec, enum store_process_kind kind, struct id *ret_id,
                  struct store_process_place *ret_place, struct error *err)
{
    struct db_scope scope = caller_scope(caller);
    struct store_origin origin = caller_origin(caller);
    struct store_process_new process = {
        .sandbox = *sandbox,
        .kind = kind,
        .command_json = spec->command_json,
        .tag = spec->tag,
        .has_terminal = spec->terminal,
        .has_input = spec->input,
        .node_id = services->node_id,
        .boot_id = services->boot_id,
        .deadline_ms = kind == STORE_PROCESS_EXEC ? process_exec_deadline_ms(services) : 0,
    };

    if (caller_new_id(caller, &process.id, err) < 0 ||
        begin_permitted(services->db, &scope, &process, spec, &origin, ret_place, err) < 0)
        return -1;
    *ret_id = process.id;
    return 0;
}

/* An answer of the agent says that nothing ran; anything else leaves that open. */
static enum process_state state_after(const struct error *err)
{
    switch (err->code) {
    case ERR_INVALID_FIELD:
    case ERR_NOT_POSSIBLE:
    case ERR_TOO_MANY:
    case ERR_CONFLICT: /* the sandbox is being stopped */
        return PROCESS_FAILED;
    default:
        return PROCESS_LOST;
    }
}

struct process_end process_end_unseen(const struct id *id, const struct error *err)
{
    return process_end_unknown(id, state_after(err));
}

void process_abandon(struct services *services, const struct caller *caller, const struct id *id,
                     const struct error *err)
{
    struct db_scope scope = caller_scope(caller);
    const struct process_end end = process_end_unseen(id, err);
    struct error failure;
    bool found;

    if (store_process_end(services->db, &scope, &end, &found, &failure) < 0)
        log_error("a command that failed to start is left for the worker: %s", failure.message);
}

/* The agent's own names of what is in a request are not the caller's, but for these two. */
static const char *field_at_fault(const struct error *cause)
{
    bool is_callers = strcmp(cause->field, "cwd") == 0 || strcmp(cause->field, "user") == 0;

    return is_callers ? cause->field : "command";
}

/* What the specification, or what stands for what it leaves out, has for the field. */
static const char *value_of(const struct process_spec *spec, const char *field)
{
    if (strcmp(field, "cwd") == 0)
        return spec->cwd ? spec->cwd : SANDBOX_FOLDER;
    if (strcmp(field, "user") == 0)
        return spec->user ? spec->user : SANDBOX_USER;
    return spec->argv[0];
}

int process_explain_failure(const struct process_spec *spec, struct error *err)
{
    struct error cause = *err;
    const char *field = field_at_fault(&cause);

    if (cause.code == ERR_NOT_FOUND || cause.code == ERR_INVALID_FIELD ||
        cause.code == ERR_NOT_POSSIBLE)
        return error_set_field(err, ERR_NOT_POSSIBLE, field, "%s (%.*s)", cause.message,
                               VALUE_SHOWN, value_of(spec, field));
    return -1;
}
