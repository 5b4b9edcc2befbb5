#include "server/handlers/sandbox.h"

#include "lib/base/util.h"
#include "server/handlers/sandbox_request.h"
#include "server/handlers/sandbox_view.h"
#include "server/services/sandboxes.h"

enum { LIST_LIMIT_DEFAULT = 100, LIST_LIMIT_MAX = 1000 };

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

/* Reads ?limit= and ?cursor=; without a cursor *ret_has_cursor is false. */
static int list_range(struct call *call, uint64_t *ret_limit, struct id *ret_cursor,
                      bool *ret_has_cursor, struct error *err)
{
    uint64_t limit = LIST_LIMIT_DEFAULT;
    char text[64];
    int found = http_request_query_value(call->request, "limit", text, sizeof(text), err);

    if (found < 0)
        return -1;
    if (found && (!parse_u64(text, LIST_LIMIT_MAX, &limit) || limit == 0))
        return error_set_field(err, ERR_INVALID_FIELD, "limit", "'limit' must be 1 to %d",
                               LIST_LIMIT_MAX);
    found = http_request_query_value(call->request, "cursor", text, sizeof(text), err);
    if (found < 0)
        return -1;
    *ret_limit = limit;
    *ret_has_cursor = found;
    if (found && !id_parse(text, ret_cursor))
        return error_set_field(err, ERR_INVALID_FIELD, "cursor",
                               "'cursor' must be a next_cursor of an earlier page");
    return 0;
}

static cJSON *list_view(const struct sandbox_list *list)
{
    cJSON *view = cJSON_CreateObject();
    cJSON *array = cJSON_AddArrayToObject(view, "sandboxes");
    char cursor[ID_TEXT_SIZE];

    for (size_t i = 0; i < list->count; i++)
        cJSON_AddItemToArray(array, sandbox_view(&list->items[i]));
    if (list->more) {
        id_format(&list->items[list->count - 1].id, cursor);
        cJSON_AddStringToObject(view, "next_cursor", cursor);
    } else {
        cJSON_AddNullToObject(view, "next_cursor");
    }
    return view;
}

int handle_sandbox_list(struct call *call, struct error *err)
{
    _cleanup_(sandbox_list_free) struct sandbox_list list = {0};
    struct id cursor = {{0}};
    bool has_cursor = false;
    uint64_t limit = 0;

    if (list_range(call, &limit, &cursor, &has_cursor, err) < 0 ||
        sandboxes_list(call->services, &call->caller, (unsigned)limit, has_cursor ? &cursor : NULL,
                       &list, err) < 0)
        return -1;
    return call_respond_json(call, 200, list_view(&list), err);
}

static int respond_deleted(struct call *call, struct error *err)
{
    char id[ID_TEXT_SIZE];
    cJSON *view;

    id_format(&call->id, id);
    view = cJSON_CreateObject();
    cJSON_AddStringToObject(view, "id", id);
    cJSON_AddBoolToObject(view, "deleted", true);
    return call_respond_json(call, 200, view, err);
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

int handle_sandbox_execute(struct call *call, struct error *err)
{
    _cleanup_(execution_result_free) struct execution_result result = {0};
    _cleanup_cjson_ cJSON *body = NULL;
    struct {
        char none;
    } nothing;

    /* Clients send an empty body, or an empty object; a field in it would be one that we ignore. */
    if (call_json_body(call, true, &body, err) < 0 ||
        (body && json_decode(body, NULL, 0, "", &nothing, err) < 0) ||
        execution_run(call->services, &call->caller, &call->id, &result, err) < 0)
        return -1;
    return call_respond_json(call, 200, execution_view(&call->id, &result), err);
}

int handle_sandbox_files(struct call *call, struct error *err)
{
    _cleanup_(sandbox_files_free) struct sandbox_files files = {0};
    _cleanup_cjson_ cJSON *body = NULL;
    cJSON *view;

    if (call_json_body(call, false, &body, err) < 0 ||
        sandbox_request_files(body, &files, err) < 0 ||
        sandboxes_put_files(call->services, &call->caller, &call->id, &files, err) < 0)
        return -1;
    view = cJSON_CreateObject();
    cJSON_AddBoolToObject(view, "success", true);
    cJSON_AddNumberToObject(view, "files_written", (double)files.count);
    return call_respond_json(call, 200, view, err);
}
