#include "server/handlers/v1_runs.h"

#include "lib/base/util.h"
#include "server/handlers/command_rules.h"
#include "server/handlers/execution_view.h"
#include "server/handlers/sandbox_request.h"
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

static int run(struct call *call, const struct run_body *body,
               const struct sandbox_definition *definition, struct error *err)
{
    _cleanup_(execution_result_free) struct execution_result result = {0};
    const struct execution_once once = {
        .definition = definition,
        .stdin_data = body->stdin_text,
        .stdin_size = body->stdin_text ? strlen(body->stdin_text) : 0,
        .project = id_or_null(&body->project_id),
    };
    struct id id;

    if (execution_run_once(call->services, &call->caller, &once, &id, &result, err) < 0)
        return -1;
    command_notice_add(call, result.policy_notice);
    return call_respond_json(call, 200, execution_view(&v1_run_result_table, &id, &result), err);
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
