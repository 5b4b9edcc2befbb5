#include "server/handlers/v1_processes.h"

#include "lib/base/util.h"
#include "server/handlers/command_rules.h"
#include "server/handlers/page.h"
#include "server/handlers/v1_process_request.h"
#include "server/handlers/v1_process_view.h"

#include <string.h>
#include <strings.h>

enum {
    WAIT_MAX_S = 30, /* a thread waits */
};

static int respond(struct call *call, int status, const struct process_info *info,
                   struct error *err)
{
    return call_respond_json(call, status, v1_process_view(info), err);
}

int handle_v1_process_start(struct call *call, struct error *err)
{
    _cleanup_(v1_process_request_done) struct v1_process_request request = {.body = NULL};
    _cleanup_(process_info_free) struct process_info info = {.is_live = false};

    if (v1_process_request_start(call, &request, err) < 0 ||
        processes_start(call->services, &call->caller, &call->id, &request.spec, &info, err) < 0)
        return -1;
    command_notice_add(call, request.policy_notice);
    return respond(call, 201, &info, err);
}

/* --- list and get */

struct list_query {
    int64_t limit;
    struct id cursor;
    const char *tag;
};

static const struct json_field list_fields[] = {
    PAGE_QUERY_FIELDS(struct list_query),
    {.name = "tag",
     .type = JSON_TYPE_STRING,
     .min = 1,
     .max = PROCESS_TAG_MAX,
     .offset = offsetof(struct list_query, tag),
     .about = "Only those with this tag."},
};
const struct json_table v1_process_list_query = JSON_TABLE("ProcessListQuery", list_fields);

int handle_v1_process_list(struct call *call, struct error *err)
{
    _cleanup_(process_info_list_free) struct process_info_list list = {.items = NULL};
    struct list_query query = {.limit = PAGE_LIMIT_DEFAULT};
    struct call_query_storage storage;
    struct store_process_filter filter;
    cJSON *items;
    bool more;

    if (call_query(call, &v1_process_list_query, &storage, &query, err) < 0)
        return -1;
    filter = (struct store_process_filter){
        .before = id_or_null(&query.cursor),
        .tag = query.tag,
        .limit = (uint32_t)query.limit,
    };
    if (processes_list(call->services, &call->caller, &call->id, &filter, &list, &more, err) < 0)
        return -1;
    items = cJSON_CreateArray();
    for (size_t i = 0; i < list.count; i++)
        json_append(&items, v1_process_view(&list.items[i]));
    return page_respond(call, &v1_process_page_table, items,
                        more ? &list.items[list.count - 1].row.id : NULL, err);
}

int handle_v1_process_get(struct call *call, struct error *err)
{
    _cleanup_(process_info_free) struct process_info info = {.is_live = false};

    if (processes_get(call->services, &call->caller, &call->id, &call->ids[1], &info, err) < 0)
        return -1;
    return respond(call, 200, &info, err);
}

struct wait_query {
    int64_t timeout;
};

static const struct json_field wait_fields[] = {
    {.name = "timeout",
     .type = JSON_TYPE_INTEGER,
     .min = 0,
     .max = WAIT_MAX_S,
     .offset = offsetof(struct wait_query, timeout),
     .about = "Seconds; 30 when it is not given."},
};
const struct json_table v1_process_wait_query = JSON_TABLE("ProcessWaitQuery", wait_fields);

int handle_v1_process_wait(struct call *call, struct error *err)
{
    _cleanup_(process_info_free) struct process_info info = {.is_live = false};
    struct wait_query query = {.timeout = WAIT_MAX_S};
    struct call_query_storage storage;

    if (call_query(call, &v1_process_wait_query, &storage, &query, err) < 0 ||
        processes_wait(call->services, &call->caller, &call->id, &call->ids[1],
                       (uint32_t)query.timeout * 1000, &info, err) < 0)
        return -1;
    return respond(call, 200, &info, err);
}

/* --- signal, input, resize */

struct signal_body {
    const cJSON *signal;
    const char *target;
};

static const struct json_field signal_fields[] = {
    {.name = "signal",
     .type = JSON_TYPE_ANY,
     .required = true,
     .offset = offsetof(struct signal_body, signal),
     .schema = "{\"anyOf\":[{\"type\":\"string\",\"pattern\":\"^(SIG)?(" V1_SIGNAL_NAMES ")$\"},"
               "{\"type\":\"integer\",\"minimum\":1,\"maximum\":64}]}",
     .about = "A name, with or without SIG, or a number."},
    {.name = "target",
     .type = JSON_TYPE_STRING,
     .choices = "process|group|tree",
     .offset = offsetof(struct signal_body, target),
     .about = "The process alone, its group, or all that descends from it; group."},
};
const struct json_table v1_process_signal_table = JSON_TABLE("ProcessSignal", signal_fields);

enum agent_signal_target v1_process_signal_target(const char *word)
{
    if (word && strcmp(word, "process") == 0)
        return AGENT_SIGNAL_PROCESS;
    return word && strcmp(word, "tree") == 0 ? AGENT_SIGNAL_TREE : AGENT_SIGNAL_GROUP;
}

int handle_v1_process_signal(struct call *call, struct error *err)
{
    struct signal_body body = {.target = NULL};
    _cleanup_cjson_ cJSON *json = NULL;
    int signum;

    if (call_body(call, &v1_process_signal_table, &json, &body, err) < 0 ||
        v1_process_request_signal(body.signal, &signum, err) < 0 ||
        processes_signal(call->services, &call->caller, &call->id, &call->ids[1], signum,
                         v1_process_signal_target(body.target), err) < 0)
        return -1;
    http_respond_empty(call->request, 204);
    return 0;
}

struct stdin_query {
    bool close;
};

static const struct json_field stdin_fields[] = {
    {.name = "close",
     .type = JSON_TYPE_BOOL,
     .offset = offsetof(struct stdin_query, close),
     .about = "stdin is closed after the bytes."},
};
const struct json_table v1_process_stdin_query = JSON_TABLE("ProcessStdinQuery", stdin_fields);

static int check_bytes(const struct call *call, size_t size, struct error *err)
{
    const char *type = http_request_header(call->request, "Content-Type");

    if (size == 0 || (type && strcasecmp(type, "application/octet-stream") == 0))
        return 0;
    return error_set(err, ERR_UNSUPPORTED_MEDIA_TYPE,
                     "the body must come as Content-Type: application/octet-stream");
}

int handle_v1_process_stdin(struct call *call, struct error *err)
{
    size_t max = (size_t)call->services->config->server_max_body_bytes;
    struct stdin_query query = {.close = false};
    struct call_query_storage storage;
    const char *data;
    size_t size;

    if (call_query(call, &v1_process_stdin_query, &storage, &query, err) < 0 ||
        http_request_body(call->request, max, &data, &size, err) < 0 ||
        check_bytes(call, size, err) < 0 ||
        processes_input(call->services, &call->caller, &call->id, &call->ids[1], data, size,
                        query.close, err) < 0)
        return -1;
    http_respond_empty(call->request, 204);
    return 0;
}

struct resize_body {
    int64_t rows;
    int64_t columns;
};

static const struct json_field resize_fields[] = {
    {.name = "rows",
     .type = JSON_TYPE_INTEGER,
     .required = true,
     .min = 1,
     .max = PROCESS_TERMINAL_SIDE_MAX,
     .offset = offsetof(struct resize_body, rows)},
    {.name = "cols",
     .type = JSON_TYPE_INTEGER,
     .required = true,
     .min = 1,
     .max = PROCESS_TERMINAL_SIDE_MAX,
     .offset = offsetof(struct resize_body, columns)},
};
const struct json_table v1_process_resize_table = JSON_TABLE("ProcessResize", resize_fields);

int handle_v1_process_resize(struct call *call, struct error *err)
{
    struct resize_body body;
    _cleanup_cjson_ cJSON *json = NULL;

    if (call_body(call, &v1_process_resize_table, &json, &body, err) < 0 ||
        processes_resize(call->services, &call->caller, &call->id, &call->ids[1],
                         (uint16_t)body.rows, (uint16_t)body.columns, err) < 0)
        return -1;
    http_respond_empty(call->request, 204);
    return 0;
}
