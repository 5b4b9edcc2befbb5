#include "server/handlers/v1_tenants.h"

#include "server/handlers/etag.h"
#include "server/handlers/fields.h"
#include "server/handlers/page.h"
#include "server/services/tenants.h"

static const struct json_field create_fields[] = {
    FIELD_NAME(struct store_tenant_change, true, "Unique in the installation"),
};
const struct json_table v1_tenant_create_table = JSON_TABLE("TenantCreate", create_fields);

static const struct json_field patch_fields[] = {
    FIELD_NAME(struct store_tenant_change, false, "Unique in the installation"),
    {.name = "state",
     .type = JSON_TYPE_STRING,
     .min = 1,
     .max = 16,
     .choices = "active|suspended",
     .offset = offsetof(struct store_tenant_change, state),
     .about = "Every request of a suspended tenant is refused, but for an operator's"},
};
const struct json_table v1_tenant_patch_table = JSON_TABLE("TenantPatch", patch_fields);

struct tenant_view {
    struct id id;
    const char *name;
    const char *state;
    int64_t created_usec;
    int64_t updated_usec;
};

static const struct json_field tenant_fields[] = {
    FIELD_ID(struct tenant_view),
    FIELD_NAME(struct tenant_view, true, NULL),
    {.name = "state",
     .type = JSON_TYPE_STRING,
     .required = true,
     .min = 1,
     .max = 16,
     .choices = "active|suspended",
     .offset = offsetof(struct tenant_view, state)},
    FIELDS_CHANGED(struct tenant_view),
};
const struct json_table v1_tenant_table = JSON_TABLE("Tenant", tenant_fields);

static const struct json_field page_fields[] = {PAGE_FIELDS(v1_tenant_table)};
const struct json_table v1_tenant_page_table = JSON_TABLE("TenantPage", page_fields);

static cJSON *tenant_view(const struct tenant_record *record)
{
    struct tenant_view view = {
        .id = record->id,
        .name = record->name,
        .state = record->suspended ? "suspended" : "active",
        .created_usec = record->created_usec,
        .updated_usec = record->updated_usec,
    };

    return json_encode(&v1_tenant_table, &view);
}

int handle_v1_tenant_create(struct call *call, struct error *err)
{
    _cleanup_(tenant_record_free) struct tenant_record record = {.name = NULL};
    struct store_tenant_change tenant = {.name = NULL};
    _cleanup_cjson_ cJSON *body = NULL;

    if (call_body(call, &v1_tenant_create_table, &body, &tenant, err) < 0 ||
        tenants_create(call->services, &call->caller, tenant.name, &record, err) < 0)
        return -1;
    return etag_respond(call, 201, record.version, tenant_view(&record), err);
}

int handle_v1_tenant_list(struct call *call, struct error *err)
{
    _cleanup_(tenant_list_free) struct tenant_list list = {.items = NULL};
    struct page_query query;
    cJSON *items;

    if (page_query(call, &query, err) < 0 ||
        tenants_list(call->services, (uint32_t)query.limit, id_or_null(&query.cursor), &list, err) <
            0)
        return -1;
    items = cJSON_CreateArray();
    for (size_t i = 0; i < list.count; i++)
        json_append(&items, tenant_view(&list.items[i]));
    return page_respond(call, &v1_tenant_page_table, items,
                        list.more ? &list.items[list.count - 1].id : NULL, err);
}

int handle_v1_tenant_get(struct call *call, struct error *err)
{
    _cleanup_(tenant_record_free) struct tenant_record record = {.name = NULL};

    if (tenants_get(call->services, &call->id, &record, err) < 0)
        return -1;
    return etag_respond(call, 200, record.version, tenant_view(&record), err);
}

int handle_v1_tenant_patch(struct call *call, struct error *err)
{
    _cleanup_(tenant_record_free) struct tenant_record record = {.name = NULL};
    struct store_tenant_change change = {.name = NULL};
    _cleanup_cjson_ cJSON *body = NULL;
    int64_t version;

    if (etag_expected(call, &version, err) < 0 ||
        call_body(call, &v1_tenant_patch_table, &body, &change, err) < 0 ||
        tenants_patch(call->services, &call->caller, &call->id, &change, version, &record, err) < 0)
        return -1;
    return etag_respond(call, 200, record.version, tenant_view(&record), err);
}

int handle_v1_tenant_delete(struct call *call, struct error *err)
{
    int64_t version;

    if (etag_expected(call, &version, err) < 0 ||
        tenants_delete(call->services, &call->caller, &call->id, version, err) < 0)
        return -1;
    http_respond_empty(call->request, 204);
    return 0;
}
