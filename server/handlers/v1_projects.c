#include "server/handlers/v1_projects.h"

#include "lib/base/util.h"
#include "server/handlers/command_rules.h"
#include "server/handlers/etag.h"
#include "server/handlers/fields.h"
#include "server/handlers/page.h"
#include "server/services/projects.h"

#include <stdlib.h>
#include <string.h>

enum { LABELS_MAX = 64, LABEL_NAME_MAX = 63, LABEL_VALUE_MAX = 255 };

struct project_request {
    const char *name;
    const cJSON *labels;
    struct command_rules policy;
};

#define LABELS_FIELD                                                                               \
    {                                                                                              \
        .name = "labels", .type = JSON_TYPE_MAP, .max = LABELS_MAX,                                \
        .offset = offsetof(struct project_request, labels),                                        \
        .schema = "{\"propertyNames\":{\"minLength\":1,\"maxLength\":63},"                         \
                  "\"additionalProperties\":{\"type\":\"string\",\"maxLength\":255}}",             \
        .about = "Free words about it: names of 1 to 63 characters, values of up to 255"           \
    }

static const struct json_field create_fields[] = {
    FIELD_NAME(struct project_request, true, "Unique in the tenant"),
    LABELS_FIELD,
};
const struct json_table v1_project_create_table = JSON_TABLE("ProjectCreate", create_fields);

static const struct json_field patch_fields[] = {
    FIELD_NAME(struct project_request, false, "Unique in the tenant"),
    LABELS_FIELD,
    {.name = "command_policy",
     .type = JSON_TYPE_RECORD,
     .of = &command_rules_table,
     .offset = offsetof(struct project_request, policy),
     .about = "What commands may run; replaced as a whole"},
};
const struct json_table v1_project_patch_table = JSON_TABLE("ProjectPatch", patch_fields);

struct project_view {
    struct id id;
    struct id tenant;
    const char *name;
    cJSON *labels;
    struct command_rules_view policy;
    bool is_default;
    int64_t created_usec;
    int64_t updated_usec;
};

static const struct json_field project_fields[] = {
    FIELD_ID(struct project_view),
    {.name = "tenant_id",
     .type = JSON_TYPE_ID,
     .required = true,
     .offset = offsetof(struct project_view, tenant)},
    FIELD_NAME(struct project_view, true, NULL),
    {.name = "labels",
     .type = JSON_TYPE_MAP,
     .required = true,
     .max = LABELS_MAX,
     .offset = offsetof(struct project_view, labels)},
    {.name = "command_policy",
     .type = JSON_TYPE_RECORD,
     .required = true,
     .of = &command_rules_view_table,
     .offset = offsetof(struct project_view, policy)},
    {.name = "is_default",
     .type = JSON_TYPE_BOOL,
     .required = true,
     .offset = offsetof(struct project_view, is_default),
     .about = "Where sandboxes go that name no project; it cannot be deleted"},
    FIELDS_CHANGED(struct project_view),
};
const struct json_table v1_project_table = JSON_TABLE("Project", project_fields);

static const struct json_field page_fields[] = {PAGE_FIELDS(v1_project_table)};
const struct json_table v1_project_page_table = JSON_TABLE("ProjectPage", page_fields);

static cJSON *project_view(const struct project_record *record)
{
    _cleanup_cjson_ cJSON *policy = NULL;
    struct project_view view = {
        .id = record->id,
        .tenant = record->tenant,
        .name = record->name,
        .labels = cJSON_Parse(record->labels_json),
        .is_default = record->is_default,
        .created_usec = record->created_usec,
        .updated_usec = record->updated_usec,
    };

    if (!view.labels || !command_rules_view(record->policy_json, &policy, &view.policy)) {
        cJSON_Delete(view.labels);
        return NULL;
    }
    return json_encode(&v1_project_table, &view);
}

static int check_labels(const cJSON *labels, struct error *err)
{
    const cJSON *label;

    cJSON_ArrayForEach(label, labels)
    {
        size_t name = utf8_length(label->string);

        if (name == 0 || name > LABEL_NAME_MAX || utf8_length(label->valuestring) > LABEL_VALUE_MAX)
            return error_set_field(err, ERR_INVALID_FIELD, "labels",
                                   "a label's name has 1 to %d characters, its value up to %d",
                                   LABEL_NAME_MAX, LABEL_VALUE_MAX);
    }
    return 0;
}

/* What a change points into. */
struct change_owner {
    cJSON *body;
    char *labels;
    char *policy;
};

static void change_owner_done(struct change_owner *owner)
{
    cJSON_Delete(owner->body);
    free(owner->labels);
    free(owner->policy);
}

/* Decodes a body by its table. */
static int take_change(struct call *call, const struct json_table *table,
                       struct change_owner *owner, struct store_project_change *ret_change,
                       struct error *err)
{
    struct project_request request = {.name = NULL};

    if (call_body(call, table, &owner->body, &request, err) < 0 ||
        check_labels(request.labels, err) < 0 ||
        command_rules_store(&request.policy, &owner->policy, err) < 0)
        return -1;
    if (request.labels) {
        owner->labels = cJSON_PrintUnformatted(request.labels);
        if (!owner->labels)
            return error_no_memory(err);
    }
    *ret_change = (struct store_project_change){request.name, owner->labels, owner->policy};
    return 0;
}

int handle_v1_project_create(struct call *call, struct error *err)
{
    _cleanup_(project_record_free) struct project_record record = {.name = NULL};
    _cleanup_(change_owner_done) struct change_owner owner = {.body = NULL};
    struct store_project_change change;

    if (take_change(call, &v1_project_create_table, &owner, &change, err) < 0 ||
        projects_create(call->services, &call->caller, &change, &record, err) < 0)
        return -1;
    return etag_respond(call, 201, record.version, project_view(&record), err);
}

int handle_v1_project_list(struct call *call, struct error *err)
{
    _cleanup_(project_list_free) struct project_list list = {.items = NULL};
    struct page_query query;
    cJSON *items;

    if (page_query(call, &query, err) < 0 ||
        projects_list(call->services, &call->caller, (uint32_t)query.limit,
                      id_or_null(&query.cursor), &list, err) < 0)
        return -1;
    items = cJSON_CreateArray();
    for (size_t i = 0; i < list.count; i++)
        json_append(&items, project_view(&list.items[i]));
    return page_respond(call, &v1_project_page_table, items,
                        list.more ? &list.items[list.count - 1].id : NULL, err);
}

int handle_v1_project_get(struct call *call, struct error *err)
{
    _cleanup_(project_record_free) struct project_record record = {.name = NULL};

    if (projects_get(call->services, &call->caller, &call->id, &record, err) < 0)
        return -1;
    return etag_respond(call, 200, record.version, project_view(&record), err);
}

int handle_v1_project_patch(struct call *call, struct error *err)
{
    _cleanup_(project_record_free) struct project_record record = {.name = NULL};
    _cleanup_(change_owner_done) struct change_owner owner = {.body = NULL};
    struct store_project_change change;
    int64_t version;

    if (etag_expected(call, &version, err) < 0 ||
        take_change(call, &v1_project_patch_table, &owner, &change, err) < 0 ||
        projects_patch(call->services, &call->caller, &call->id, &change, version, &record, err) <
            0)
        return -1;
    return etag_respond(call, 200, record.version, project_view(&record), err);
}

int handle_v1_project_delete(struct call *call, struct error *err)
{
    int64_t version;

    if (etag_expected(call, &version, err) < 0 ||
        projects_delete(call->services, &call->caller, &call->id, version, err) < 0)
        return -1;
    http_respond_empty(call->request, 204);
    return 0;
}
