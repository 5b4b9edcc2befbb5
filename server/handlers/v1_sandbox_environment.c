/* The environment and the main command of a sandbox: both count from the next start on. */
#include "lib/base/util.h"
#include "server/handlers/etag.h"
#include "server/handlers/schemas.h"
#include "server/handlers/v1_sandbox_values.h"
#include "server/handlers/v1_sandboxes.h"
#include "server/services/containers.h"

struct environment_body {
    const cJSON *environment;
};

#define ENVIRONMENT_FIELD(schema_, about_)                                                         \
    {                                                                                              \
        .name = "environment", .type = JSON_TYPE_OBJECT, .required = true,                         \
        .max = STORE_ENVIRONMENT_MAX, .offset = offsetof(struct environment_body, environment),    \
        .schema = (schema_), .about = (about_)                                                     \
    }

static const struct json_field environment_fields[] = {
    ENVIRONMENT_FIELD(SCHEMA_VARIABLES, "Texts by name."),
};
const struct json_table v1_environment_replace_table =
    JSON_TABLE("EnvironmentReplace", environment_fields);

static const struct json_field environment_update_fields[] = {
    ENVIRONMENT_FIELD(SCHEMA_VARIABLE_CHANGES, "Texts by name; null removes a variable."),
};
const struct json_table v1_environment_update_table =
    JSON_TABLE("EnvironmentUpdate", environment_update_fields);

/* Answers with `view` of the record and its ETag, or 304. */
static int respond(struct call *call, const struct container_record *record,
                   cJSON *(*view)(const struct container_record *record), struct error *err)
{
    return etag_respond(call, 200, record->version, view(record), err);
}

int handle_v1_environment_get(struct call *call, struct error *err)
{
    _cleanup_(container_record_free) struct container_record record = {.owner = NULL};

    if (containers_get_environment(call->services, &call->caller, &call->id, &record, err) < 0)
        return -1;
    return respond(call, &record, v1_environment_view, err);
}

static int update_environment(struct call *call, bool merge, struct error *err)
{
    _cleanup_(container_record_free) struct container_record record = {.owner = NULL};
    struct environment_body body = {.environment = NULL};
    _cleanup_cjson_ cJSON *json = NULL;
    _cleanup_free_ char *environment = NULL;
    int64_t version;

    if (call_body(call, &v1_environment_update_table, &json, &body, err) < 0 ||
        v1_value_environment(body.environment, merge, &environment, err) < 0 ||
        etag_expected(call, &version, err) < 0 ||
        containers_set_environment(call->services, &call->caller, &call->id, environment, merge,
                                   version, &record, err) < 0)
        return -1;
    return respond(call, &record, v1_environment_view, err);
}

int handle_v1_environment_put(struct call *call, struct error *err)
{
    return update_environment(call, false, err);
}

int handle_v1_environment_patch(struct call *call, struct error *err)
{
    return update_environment(call, true, err);
}

int handle_v1_entrypoint_get(struct call *call, struct error *err)
{
    _cleanup_(container_record_free) struct container_record record = {.owner = NULL};

    if (containers_get(call->services, &call->caller, &call->id, &record, err) < 0)
        return -1;
    return respond(call, &record, v1_entrypoint_view, err);
}

int handle_v1_entrypoint_put(struct call *call, struct error *err)
{
    _cleanup_(container_record_free) struct container_record record = {.owner = NULL};
    _cleanup_cjson_ cJSON *body = NULL;
    _cleanup_free_ char *entrypoint = NULL;
    _cleanup_free_ char *command = NULL;
    int64_t version;

    if (call_json_body(call, false, &body, err) < 0 ||
        v1_sandbox_request_entrypoint(body, &entrypoint, &command, err) < 0 ||
        etag_expected(call, &version, err) < 0 ||
        containers_set_entrypoint(call->services, &call->caller, &call->id, entrypoint, command,
                                  version, &record, err) < 0)
        return -1;
    return respond(call, &record, v1_entrypoint_view, err);
}
