#include "server/handlers/sandbox.h"

#include "server/handlers/command_rules.h"
#include "server/handlers/execution_view.h"
#include "server/handlers/sandbox_request.h"
#include "server/handlers/sandbox_view.h"
#include "server/services/sandboxes.h"

static struct sandbox_limits limits_of(const struct config *config)
{
    return (struct sandbox_limits){
        .default_timeout_ms = (uint32_t)config->sandbox_timeout_ms,
        .max_timeout_ms = (uint32_t)config->sandbox_max_timeout_ms,
        .default_memory_mb = (uint32_t)config->sandbox_memory_mb,
        .max_memory_mb = (uint32_t)config->sandbox_max_memory_mb,
    };
}

int handle_sandbox_create(struct call *call, struct error *err)
{
    struct sandbox_limits limits = limits_of(call->services->config);
    _cleanup_(sandbox_definition_free) struct sandbox_definition definition = {0};
    _cleanup_(sandbox_record_free) struct sandbox_record record = {0};
    _cleanup_cjson_ cJSON *body = NULL;

    if (call_json_body(call, false, &body, err) < 0 ||
        sandbox_request_create(body, &limits, &definition, err) < 0 ||
        sandboxes_create(call->services, &call->caller, &definition, &record, err) < 0)
        return -1;
    return call_respond_json(call, 201, sandbox_view(&record), err);
}

int handle_sandbox_get(struct call *call, struct error *err)
{
    _cleanup_(sandbox_record_free) struct sandbox_record record = {0};

    if (sandboxes_get(call->services, &call->caller, &call->id, &record, err) < 0)
        return -1;
    return call_respond_json(call, 200, sandbox_view(&record), err);
}

struct list_query {
    int64_t limit;
    struct id cursor; /* zero: from the newest on */
};

static const struct json_field list_query_fields[] = {
    {.name = "limit",
     .type = JSON_TYPE_INTEGER,
     .min = 1,
     .max = SANDBOX_PAGE_MAX,
     .offset = offsetof(struct list_query, limit),
     .about = "The most sandboxes to answer with; 1000 when it is not given."},
    {.name = "cursor",
     .type = JSON_TYPE_ID,
     .offset = offsetof(struct list_query, cursor),
     .about = "The next_cursor of an earlier page."},
};
const struct json_table sandbox_list_query = JSON_TABLE("StoredSandboxQuery", list_query_fields);

int handle_sandbox_list(struct call *call, struct error *err)
{
    _cleanup_(sandbox_list_free) struct sandbox_list list = {0};
    struct list_query query = {.limit = SANDBOX_PAGE_MAX}; /* clients of the dialect ask for all */
    struct call_query_storage storage;

    if (call_query(call, &sandbox_list_query, &storage, &query, err) < 0 ||
        sandboxes_list(call->services, &call->caller, (unsigned)query.limit,
                       id_or_null(&query.cursor), &list, err) < 0)
        return -1;
    return call_respond_json(call, 200, sandbox_list_view(&list), err);
}

static int respond_deleted(struct call *call, struct error *err)
{
    return call_respond_json(call, 200, sandbox_deleted_view(&call->id), err);
}

int handle_sandbox_delete(struct call *call, struct error *err)
{
    if (sandboxes_delete(call->services, &call->caller, &call->id, err) < 0)
        return -1;
    return respond_deleted(call, err);
}

int handle_sandbox_delete_rest(struct call *call, struct error *err)
{
    if (sandboxes_delete(call->services, &call->caller, &call->id, err) < 0 &&
        err->code != ERR_NOT_FOUND)
        return -1;
    return respond_deleted(call, err);
}

/* Clients send an empty body, or an empty object; a field in it would be one that we ignore. */
const struct json_table sandbox_execute_table = {.name = "ExecutionRequest"};

int handle_sandbox_execute(struct call *call, struct error *err)
{
    _cleanup_(execution_result_free) struct execution_result result = {0};
    _cleanup_cjson_ cJSON *body = NULL;
    struct {
        char none;
    } nothing;

    if (call_json_body(call, true, &body, err) < 0 ||
        (body && json_decode(body, NULL, 0, "", &nothing, err) < 0) ||
        execution_run(call->services, &call->caller, &call->id, &result, err) < 0)
        return -1;
    command_notice_add(call, result.policy_notice);
    return call_respond_json(call, 200, execution_view(&execution_table, &call->id, &result), err);
}

int handle_sandbox_files(struct call *call, struct error *err)
{
    _cleanup_(sandbox_files_free) struct sandbox_files files = {0};
    _cleanup_cjson_ cJSON *body = NULL;

    if (call_json_body(call, false, &body, err) < 0 ||
        sandbox_request_files(body, &files, err) < 0 ||
        sandboxes_put_files(call->services, &call->caller, &call->id, &files, err) < 0)
        return -1;
    return call_respond_json(call, 200, sandbox_files_written_view(files.count), err);
}
