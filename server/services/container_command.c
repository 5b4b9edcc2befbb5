#include "server/services/container_command.h"

#include "lib/base/util.h"
#include "lib/json/json.h"
#include "lib/runtime/agent_process.h"
#include "lib/runtime/launcher_client.h"
#include "server/services/environment.h"

enum {
    AGENT_MS = 10 * 1000, /* for an answer that nothing has to be waited for */
    KILL_GRACE_MS = 10 * 1000,
    BACKOFF_MS = 1000,
    LOG_BYTES = 16 << 20,
    LOG_LINES = 100 * 1000,
};

/* Adds the texts of a stored JSON array to argv; NULL JSON is none. */
static size_t add_arguments(const cJSON *array, const char **argv, size_t count)
{
    const cJSON *entry;

    cJSON_ArrayForEach(entry, array) argv[count++] = entry->valuestring;
    return count;
}

static cJSON *stored_array(const char *json)
{
    return json ? cJSON_Parse(json) : cJSON_CreateArray();
}

/* A program that is not there or cannot be executed is the caller's to put right. */
static int explain_failure(struct error *err)
{
    struct error cause = *err;

    if (cause.code != ERR_NOT_FOUND && cause.code != ERR_INVALID_FIELD &&
        cause.code != ERR_NOT_POSSIBLE)
        return -1;
    return error_set_field(err, ERR_NOT_POSSIBLE, "command", "the main command cannot start: %s",
                           cause.message);
}

static int start(struct services *services, const struct container_record *record,
                 const char *const *argv, char *const *environment, struct error *err)
{
    int64_t deadline = monotonic_usec() + AGENT_MS * INT64_C(1000);
    _cleanup_agent_client_ struct agent_client *client = NULL;
    const struct agent_start_request request = {
        .id = record->id,
        .argv = argv,
        .env = (const char *const *)environment,
        .cwd = SANDBOX_FOLDER,
        .user = SANDBOX_USER,
        .timeout_ms = record->run_timeout_s * 1000,
        .grace_ms = KILL_GRACE_MS,
        .retries = record->max_retries,
        .backoff_ms = BACKOFF_MS,
        .log_bytes = LOG_BYTES,
        .log_lines = LOG_LINES,
    };
    struct agent_process process;

    if (launcher_client_connect_agent(services->launcher, &record->id, record->generation, deadline,
                                      &client, err) < 0)
        return -1;
    if (agent_process_start(client, &request, deadline, &process, err) == 0)
        return 0;
    return explain_failure(err);
}

int container_command_start(struct services *services, const struct container_record *record,
                            struct error *err)
{
    _cleanup_cjson_ cJSON *entrypoint = stored_array(record->entrypoint_json);
    _cleanup_cjson_ cJSON *command = stored_array(record->command_json);
    size_t count = (size_t)cJSON_GetArraySize(entrypoint) + (size_t)cJSON_GetArraySize(command);
    _cleanup_environment_ char **environment = NULL;
    _cleanup_free_ const char **argv = NULL;

    if (!entrypoint || !command)
        return error_no_memory(err);
    if (count == 0)
        return 0;
    if (environment_make(record->env_json, &environment, err) < 0)
        return -1;
    argv = calloc(count + 1, sizeof(*argv));
    if (!argv)
        return error_no_memory(err);
    (void)add_arguments(command, argv, add_arguments(entrypoint, argv, 0));
    return start(services, record, argv, environment, err);
}
