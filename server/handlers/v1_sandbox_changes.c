/* Start, stop, restart, pause and resume. */
#include "lib/base/util.h"
#include "server/handlers/v1_sandboxes.h"
#include "server/services/containers.h"

enum { STOP_TIMEOUT_DEFAULT_S = 10, STOP_TIMEOUT_MAX_S = 60 };

struct stop_body {
    int64_t timeout;
};

static const struct json_field stop_fields[] = {
    {.name = "timeout",
     .type = JSON_TYPE_INTEGER,
     .min = 0,
     .max = STOP_TIMEOUT_MAX_S,
     .offset = offsetof(struct stop_body, timeout),
     .about = "Seconds from TERM to the main command to KILL to everything; 10."},
};
const struct json_table v1_sandbox_stop_table = JSON_TABLE("SandboxStop", stop_fields);

/* A body may be left out, or hold what `fields` say. */
static int optional_body(struct call *call, const struct json_field *fields, size_t count,
                         void *target, struct error *err)
{
    _cleanup_cjson_ cJSON *body = NULL;

    if (call_json_body(call, true, &body, err) < 0)
        return -1;
    return body ? json_decode(body, fields, count, "", target, err) : 0;
}

static int change(struct call *call, container_change function, struct error *err)
{
    _cleanup_(container_record_free) struct container_record record = {.owner = NULL};
    struct {
        char none;
    } nothing;

    if (optional_body(call, NULL, 0, &nothing, err) < 0 ||
        function(call->services, &call->caller, &call->id, &record, err) < 0)
        return -1;
    return v1_sandbox_respond(call, 200, &record, err);
}

int handle_v1_sandbox_start(struct call *call, struct error *err)
{
    return change(call, containers_start, err);
}

int handle_v1_sandbox_pause(struct call *call, struct error *err)
{
    return change(call, containers_pause, err);
}

int handle_v1_sandbox_resume(struct call *call, struct error *err)
{
    return change(call, containers_resume, err);
}

static int change_with_timeout(struct call *call, container_timed_change function,
                               struct error *err)
{
    _cleanup_(container_record_free) struct container_record record = {.owner = NULL};
    struct stop_body body = {.timeout = STOP_TIMEOUT_DEFAULT_S};

    if (optional_body(call, stop_fields, ARRAY_SIZE(stop_fields), &body, err) < 0 ||
        function(call->services, &call->caller, &call->id, (uint32_t)body.timeout, &record, err) <
            0)
        return -1;
    return v1_sandbox_respond(call, 200, &record, err);
}

int handle_v1_sandbox_stop(struct call *call, struct error *err)
{
    return change_with_timeout(call, containers_stop, err);
}

int handle_v1_sandbox_restart(struct call *call, struct error *err)
{
    return change_with_timeout(call, containers_restart, err);
}
