#include "server/handlers/v1_sandboxes.h"

#include "lib/base/util.h"
#include "server/handlers/etag.h"
#include "server/handlers/page.h"
#include "server/handlers/v1_sandbox_values.h"
#include "server/services/containers.h"
#include "server/services/executors.h"

#include <string.h>

struct list_query {
    int64_t limit;
    struct id cursor;
    struct id project_id;
    const char *state;
    const char *image;
    const char *label;
};

static const struct json_field list_query_fields[] = {
    PAGE_QUERY_FIELDS(struct list_query),
    {.name = "project_id",
     .type = JSON_TYPE_ID,
     .offset = offsetof(struct list_query, project_id),
     .about = "Only those of this project."},
    {.name = "state",
     .type = JSON_TYPE_STRING,
     .choices = "creating|running|paused|stopped|failed|deleting",
     .offset = offsetof(struct list_query, state),
     .about = "Only those in this state."},
    {.name = "image",
     .type = JSON_TYPE_STRING,
     .min = 1,
     .max = 255,
     .offset = offsetof(struct list_query, image),
     .about = "Only those of this image."},
    {.name = "label",
     .type = JSON_TYPE_STRING,
     .max = 320,
     .offset = offsetof(struct list_query, label),
     .schema = "{\"pattern\":\"^[A-Za-z0-9._/-]{1,63}[=:][^\\\\x00-\\\\x1f\\\\x7f]*$\"}",
     .about = "Only those with this label: name=value, or name:value."},
};
const struct json_table v1_sandbox_list_query = JSON_TABLE("SandboxListQuery", list_query_fields);

int v1_sandbox_respond(struct call *call, int status, const struct container_record *record,
                       struct error *err)
{
    _cleanup_json_text_ struct json_text text = {.data = NULL};

    etag_add(call, record->version);
    v1_sandbox_write(record, NULL, &text);
    return call_respond_text(call, status, &text, err);
}

/* --- create */

struct executor_view {
    const char *url;
    const char *secret;
};

static const struct json_field executor_fields[] = {
    {.name = "url",
     .type = JSON_TYPE_STRING,
     .required = true,
     .offset = offsetof(struct executor_view, url)},
    {.name = "secret",
     .type = JSON_TYPE_STRING,
     .omitted = true,
     .offset = offsetof(struct executor_view, secret)},
};
static const struct json_table executor_table = JSON_TABLE("SandboxExecutor", executor_fields);

/* As the client reached us, through whatever ended its TLS. */
static int executor_url(const struct call *call, const struct id *sandbox, char **ret_url,
                        struct error *err)
{
    const char *scheme = http_request_header(call->request, "X-Forwarded-Proto");
    bool is_secure = scheme && strcmp(scheme, "https") == 0;
    char id[ID_TEXT_SIZE];

    id_format(sandbox, id);
    if (asprintf(ret_url, "%s://%s/s/%s", is_secure ? "https" : "http",
                 http_request_host(call->request), id) < 0) {
        *ret_url = NULL;
        return error_no_memory(err);
    }
    return 0;
}

static int write_executor(struct call *call, const struct container_record *record,
                          struct json_text *text, struct error *err)
{
    char secret[EXECUTORS_SECRET_SIZE];
    struct executor_view view = {.secret = secret};
    _cleanup_free_ char *url = NULL;

    if (executor_url(call, &record->id, &url, err) < 0)
        return -1;
    view.url = url;
    if (executors_is_chosen(record->env_json))
        view.secret = NULL;
    else if (executors_secret(call->services, &record->id, secret, err) < 0)
        return -1;
    json_write(text, &executor_table, &view);
    return 0;
}

static int respond_created(struct call *call, const struct container_record *record,
                           struct error *err)
{
    _cleanup_json_text_ struct json_text executor = {.data = NULL};
    _cleanup_json_text_ struct json_text text = {.data = NULL};

    if (write_executor(call, record, &executor, err) < 0)
        return -1;
    etag_add(call, record->version);
    v1_sandbox_write(record, executor.data, &text);
    text.failed |= executor.failed;
    return call_respond_text(call, 201, &text, err);
}

int handle_v1_sandbox_create(struct call *call, struct error *err)
{
    _cleanup_(container_record_free) struct container_record record = {.owner = NULL};
    _cleanup_(container_spec_free) struct container_spec spec = {.name = NULL};
    _cleanup_cjson_ cJSON *body = NULL;

    if (call_json_body(call, false, &body, err) < 0 ||
        v1_sandbox_request_create(body, call->services->config, &spec, err) < 0 ||
        executors_prepare(call->services, err) < 0 ||
        containers_create(call->services, &call->caller, &spec, &record, err) < 0)
        return -1;
    return respond_created(call, &record, err);
}

int handle_v1_sandbox_created(struct call *call, struct error *err)
{
    _cleanup_(container_record_free) struct container_record record = {.owner = NULL};

    if (containers_get_environment(call->services, &call->caller, &call->id, &record, err) < 0)
        return -1;
    return respond_created(call, &record, err);
}

int handle_v1_sandbox_list(struct call *call, struct error *err)
{
    _cleanup_(container_list_free) struct container_list list = {.items = NULL};
    struct list_query query = {.limit = PAGE_LIMIT_DEFAULT};
    struct call_query_storage storage;
    struct store_container_filter filter;
    _cleanup_json_text_ struct json_text text = {.data = NULL};
    _cleanup_free_ char *labels = NULL;
    bool more;

    if (call_query(call, &v1_sandbox_list_query, &storage, &query, err) < 0 ||
        (query.label && v1_value_label(query.label, &labels, err) < 0))
        return -1;
    filter = (struct store_container_filter){
        .project = id_or_null(&query.project_id),
        .state = query.state,
        .image = query.image,
        .labels_json = labels,
        .before = id_or_null(&query.cursor),
        .limit = (uint32_t)query.limit,
    };
    if (containers_list(call->services, &call->caller, &filter, &list, &more, err) < 0)
        return -1;
    v1_sandbox_list_write(&list, more, &text);
    return call_respond_text(call, 200, &text, err);
}

int handle_v1_sandbox_get(struct call *call, struct error *err)
{
    _cleanup_(container_record_free) struct container_record record = {.owner = NULL};

    if (containers_get(call->services, &call->caller, &call->id, &record, err) < 0)
        return -1;
    return v1_sandbox_respond(call, 200, &record, err);
}

int handle_v1_sandbox_patch(struct call *call, struct error *err)
{
    _cleanup_(container_record_free) struct container_record record = {.owner = NULL};
    struct store_container_patch patch;
    _cleanup_cjson_ cJSON *body = NULL;
    _cleanup_free_ char *labels = NULL;
    int64_t version;

    if (call_json_body(call, false, &body, err) < 0 ||
        v1_sandbox_request_patch(body, &patch, &labels, err) < 0 ||
        etag_expected(call, &version, err) < 0 ||
        containers_patch(call->services, &call->caller, &call->id, &patch, version, &record, err) <
            0)
        return -1;
    return v1_sandbox_respond(call, 200, &record, err);
}

int handle_v1_sandbox_delete(struct call *call, struct error *err)
{
    int64_t version;

    if (etag_expected(call, &version, err) < 0 ||
        containers_delete(call->services, &call->caller, &call->id, version, err) < 0)
        return -1;
    http_respond_empty(call->request, 204);
    return 0;
}
