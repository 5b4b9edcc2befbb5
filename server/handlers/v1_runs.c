#include "server/handlers/v1_runs.h"

#include "lib/base/util.h"
#include "server/handlers/sandbox_request.h"
#include "server/handlers/sandbox_view.h"
#include "server/handlers/schemas.h"
#include "server/services/execution.h"

#include <string.h>

enum {
    ENVIRONMENT_MAX = 256,
    STDIN_MAX = 8 << 20,
    TIMEOUT_MAX_MS = 24 * 3600 * 1000,
    MEMORY_MIN_MB = 16,
    MEMORY_MAX_MB = 1 << 20,
};

struct run_body {
    struct sandbox_definition_body definition;
    const cJSON *environment;
    const cJSON *env;
    const char *stdin_text;
    struct id project_id;
};

static const struct json_field run_fields[] = {
    {.name = "runtime",
     .type = JSON_TYPE_STRING,
     .required = true,
     .choices = "node|typescript|bun|python|shell",
     .offset = offsetof(struct run_body, definition.runtime)},
    {.name = "code",
     .type = JSON_TYPE_STRING,
     .required = true,
     .min = 1,
     .max = SANDBOX_CODE_MAX,
     .offset = offsetof(struct run_body, definition.code)},
    {.name = "entry_point",
     .type = JSON_TYPE_STRING,
     .min = 1,
     .max = 1024,
     .offset = offsetof(struct run_body, definition.entry_point),
     .schema = SANDBOX_ENTRY_POINT_SCHEMA,
     .about = "The file that the code lands in and that is run; with white space in it, a command "
              "line."},
    {.name = "files",
     .type = JSON_TYPE_ARRAY,
     .max = SANDBOX_FILES_MAX,
     .of = &sandbox_file_table,
     .offset = offsetof(struct run_body, definition.files),
     .about = "What is there beside the code."},
    {.name = "environment",
     .type = JSON_TYPE_MAP,
     .max = ENVIRONMENT_MAX,
     .offset = offsetof(struct run_body, environment),
     .schema = SCHEMA_VARIABLES},
    {.name = "env",
     .type = JSON_TYPE_MAP,
     .max = ENVIRONMENT_MAX,
     .offset = offsetof(struct run_body, env),
     .schema = SCHEMA_VARIABLES,
     .about = "Another name for environment."},
    {.name = "stdin",
     .type = JSON_TYPE_STRING,
     .max = STDIN_MAX,
     .offset = offsetof(struct run_body, stdin_text),
     .about = "What the code reads; nothing when it is not given."},
    {.name = "timeout_ms",
     .type = JSON_TYPE_INTEGER,
     .min = 1,
     .max = TIMEOUT_MAX_MS,
     .offset = offsetof(struct run_body, definition.timeout_ms)},
    {.name = "memory_limit_mb",
     .type = JSON_TYPE_INTEGER,
     .min = MEMORY_MIN_MB,
     .max = MEMORY_MAX_MB,
     .offset = offsetof(struct run_body, definition.memory_limit_mb)},
    {.name = "project_id",
     .type = JSON_TYPE_ID,
     .offset = offsetof(struct run_body, project_id),
     .about = "The project it counts for; the default one when it is not given."},
};
const struct json_table v1_run_table =
    JSON_TABLE_WITH("Run", run_fields, SCHEMA_NOT_BOTH("environment", "env"));

struct stages_view {
    int64_t begin_us;
    int64_t create_us;
    int64_t run_us;
    int64_t destroy_us;
    int64_t record_us;
};

#define STAGE(name_, about_)                                                                       \
    {                                                                                              \
        .name = #name_, .type = JSON_TYPE_INTEGER, .required = true, .max = INT64_MAX,             \
        .offset = offsetof(struct stages_view, name_), .about = (about_)                           \
    }

static const struct json_field stages_fields[] = {
    STAGE(begin_us, "Admission and its record."), STAGE(create_us, "The environment."),
    STAGE(run_us, "Files, code, output."),        STAGE(destroy_us, "Until nothing is left."),
    STAGE(record_us, "The durable end."),
};
static const struct json_table stages_table = JSON_TABLE("RunStages", stages_fields);

struct result_view {
    struct id id;
    bool success;
    const char *out;
    const char *out_base64;
    const char *err;
    const char *err_base64;
    int64_t exit_code;
    const char *signal;
    int64_t execution_time_ms;
    bool timed_out;
    bool oom_killed;
    bool truncated;
    bool recorded;
    struct stages_view stages;
};

static const struct json_field result_fields[] = {
    {.name = "id",
     .type = JSON_TYPE_ID,
     .required = true,
     .offset = offsetof(struct result_view, id),
     .about = "What its events are recorded under."},
    {.name = "success",
     .type = JSON_TYPE_BOOL,
     .required = true,
     .offset = offsetof(struct result_view, success),
     .about = "It exited with 0, within its time."},
    {.name = "stdout",
     .type = JSON_TYPE_STRING,
     .required = true,
     .max = INT32_MAX,
     .offset = offsetof(struct result_view, out)},
    {.name = "stdout_base64",
     .type = JSON_TYPE_STRING,
     .max = INT32_MAX,
     .offset = offsetof(struct result_view, out_base64),
     .about = "The exact bytes where stdout is not those, else null."},
    {.name = "stderr",
     .type = JSON_TYPE_STRING,
     .required = true,
     .max = INT32_MAX,
     .offset = offsetof(struct result_view, err)},
    {.name = "stderr_base64",
     .type = JSON_TYPE_STRING,
     .max = INT32_MAX,
     .offset = offsetof(struct result_view, err_base64),
     .about = "The exact bytes where stderr is not those, else null."},
    {.name = "exit_code",
     .type = JSON_TYPE_INTEGER,
     .max = 255,
     .offset = offsetof(struct result_view, exit_code),
     .about = "null when no process returned one."},
    {.name = "signal",
     .type = JSON_TYPE_STRING,
     .max = 16,
     .offset = offsetof(struct result_view, signal),
     .about = "SIGKILL, ...; null when it exited."},
    {.name = "execution_time_ms",
     .type = JSON_TYPE_INTEGER,
     .required = true,
     .max = INT64_MAX,
     .offset = offsetof(struct result_view, execution_time_ms)},
    {.name = "timed_out",
     .type = JSON_TYPE_BOOL,
     .required = true,
     .offset = offsetof(struct result_view, timed_out)},
    {.name = "oom_killed",
     .type = JSON_TYPE_BOOL,
     .required = true,
     .offset = offsetof(struct result_view, oom_killed)},
    {.name = "truncated",
     .type = JSON_TYPE_BOOL,
     .required = true,
     .offset = offsetof(struct result_view, truncated),
     .about = "An output stream had more than max_output_bytes."},
    {.name = "recorded",
     .type = JSON_TYPE_BOOL,
     .required = true,
     .offset = offsetof(struct result_view, recorded),
     .about = "false: the database was away at the end; the record follows."},
    {.name = "stages",
     .type = JSON_TYPE_RECORD,
     .required = true,
     .of = &stages_table,
     .offset = offsetof(struct result_view, stages)},
};
const struct json_table v1_run_result_table = JSON_TABLE("RunResult", result_fields);

static int check_limit(const char *field, int64_t value, int64_t min, int64_t max,
                       struct error *err)
{
    if (value <= max)
        return 0;
    return error_set_field(err, ERR_INVALID_FIELD, field, "'%s' must be %lld to %lld", field,
                           (long long)min, (long long)max);
}

/* What the table cannot know: the configured limits, and two names of one field. */
static int check_body(const struct config *config, struct run_body *body, struct error *err)
{
    if (check_limit("timeout_ms", body->definition.timeout_ms, 1, config->sandbox_max_timeout_ms,
                    err) < 0 ||
        check_limit("memory_limit_mb", body->definition.memory_limit_mb, MEMORY_MIN_MB,
                    config->sandbox_max_memory_mb, err) < 0)
        return -1;
    if (body->env && body->environment)
        return error_set_field(err, ERR_INVALID_FIELD, "env",
                               "'env' is another name for 'environment': give one");
    body->definition.env_vars = body->environment ? body->environment : body->env;
    body->definition.env_field = body->env ? "env" : "environment";
    return 0;
}

static cJSON *result_view(const struct id *id, const struct execution_result *result)
{
    _cleanup_free_ char *out = NULL;
    _cleanup_free_ char *out_base64 = NULL;
    _cleanup_free_ char *err = NULL;
    _cleanup_free_ char *err_base64 = NULL;
    char signal_name[SIGNAL_VIEW_SIZE];
    struct result_view view = {
        .id = *id,
        .success = result->exited && result->exit_code == 0 && !result->timed_out,
        .exit_code = result->exited ? result->exit_code : JSON_NULL_INTEGER,
        .signal = signal_view(result->signal, signal_name),
        .execution_time_ms = result->wall_usec / 1000,
        .timed_out = result->timed_out,
        .oom_killed = result->oom_killed,
        .truncated = result->truncated,
        .recorded = result->recorded,
        .stages = {result->stages.begin_usec, result->stages.create_usec, result->stages.run_usec,
                   result->stages.destroy_usec, result->stages.record_usec},
    };

    if (!output_view(result->out, result->out_size, &out, &out_base64) ||
        !output_view(result->err, result->err_size, &err, &err_base64))
        return NULL;
    view.out = out;
    view.out_base64 = out_base64;
    view.err = err;
    view.err_base64 = err_base64;
    return json_encode(&v1_run_result_table, &view);
}

static int run(struct call *call, const struct run_body *body,
               const struct sandbox_definition *definition, struct error *err)
{
    static const struct id none;
    _cleanup_(execution_result_free) struct execution_result result = {0};
    const struct execution_once once = {
        .definition = definition,
        .stdin_data = body->stdin_text,
        .stdin_size = body->stdin_text ? strlen(body->stdin_text) : 0,
        .project = id_equal(&body->project_id, &none) ? NULL : &body->project_id,
    };
    struct id id;

    if (execution_run_once(call->services, &call->caller, &once, &id, &result, err) < 0)
        return -1;
    return call_respond_json(call, 200, result_view(&id, &result), err);
}

int handle_v1_run(struct call *call, struct error *err)
{
    const struct config *config = call->services->config;
    _cleanup_(sandbox_definition_free) struct sandbox_definition definition = {0};
    _cleanup_cjson_ cJSON *json = NULL;
    struct run_body body = {
        .definition = {.timeout_ms = config->sandbox_timeout_ms,
                       .memory_limit_mb = config->sandbox_memory_mb},
    };

    if (call_body(call, &v1_run_table, &json, &body, err) < 0 ||
        check_body(config, &body, err) < 0 ||
        sandbox_request_definition(&body.definition, &definition, err) < 0)
        return -1;
    return run(call, &body, &definition, err);
}
