#include "server/handlers/v1_quotas.h"

#include "server/handlers/etag.h"
#include "server/services/quotas.h"

/* Far beyond any machine, and exact in a JSON number. */
#define LIMIT_MAX (INT64_C(1) << 50)

#define LIMIT_FIELD(column, meaning)                                                               \
    {.name = #column,                                                                              \
     .type = JSON_TYPE_INTEGER,                                                                    \
     .max = LIMIT_MAX,                                                                             \
     .offset = offsetof(struct quota_numbers, column),                                             \
     .about = meaning "; null: no limit"},
static const struct json_field limit_fields[] = {QUOTA_LIMITS(LIMIT_FIELD)};
const struct json_table v1_quota_put_table = JSON_TABLE("QuotaLimits", limit_fields);

#define USED_FIELD(column, meaning)                                                                \
    {.name = #column,                                                                              \
     .type = JSON_TYPE_INTEGER,                                                                    \
     .required = true,                                                                             \
     .max = LIMIT_MAX,                                                                             \
     .offset = offsetof(struct quota_numbers, column),                                             \
     .about = meaning},
static const struct json_field used_fields[] = {QUOTA_LIMITS(USED_FIELD)};
static const struct json_table used_table = JSON_TABLE("QuotaUse", used_fields);

/* NOLINTNEXTLINE(misc-redundant-expression): two headers say it, neither may include the other */
_Static_assert(QUOTA_UNLIMITED == JSON_NULL_INTEGER, "no limit shows as null");

static const struct json_field quota_fields[] = {
    {.name = "tenant_id",
     .type = JSON_TYPE_ID,
     .required = true,
     .offset = offsetof(struct quota_record, tenant)},
    {.name = "project_id",
     .type = JSON_TYPE_ID,
     .offset = offsetof(struct quota_record, project),
     .about = "null: the quota of the whole tenant"},
    {.name = "limits",
     .type = JSON_TYPE_RECORD,
     .required = true,
     .offset = offsetof(struct quota_record, limits),
     .of = &v1_quota_put_table},
    {.name = "used",
     .type = JSON_TYPE_RECORD,
     .required = true,
     .offset = offsetof(struct quota_record, used),
     .of = &used_table,
     .about = "What counts towards the limits now"},
    {.name = "updated_at",
     .type = JSON_TYPE_TIME,
     .offset = offsetof(struct quota_record, updated_usec),
     .about = "When the limits were set; null: never"},
};
const struct json_table v1_quota_table = JSON_TABLE("Quota", quota_fields);

static int respond(struct call *call, struct quota_record *record, struct error *err)
{
    /* The version counts changes of the limits, not of what is used: never 304. */
    etag_add(call, record->version);
    return call_respond_json(call, 200, json_encode(&v1_quota_table, record), err);
}

int handle_v1_quota_own(struct call *call, struct error *err)
{
    struct quota_record record;

    if (quotas_own(call->services, &call->caller, &record, err) < 0)
        return -1;
    return respond(call, &record, err);
}

int handle_v1_quota_of_project(struct call *call, struct error *err)
{
    struct quota_record record;

    if (quotas_of_project(call->services, &call->caller, &call->id, &record, err) < 0)
        return -1;
    return respond(call, &record, err);
}

static int get(struct call *call, const struct id *project, struct error *err)
{
    struct quota_record record;

    if (quotas_get(call->services, &call->id, project, &record, err) < 0)
        return -1;
    return respond(call, &record, err);
}

static int put(struct call *call, const struct id *project, struct error *err)
{
#define UNLIMITED(column, meaning) .column = QUOTA_UNLIMITED,
    struct quota_numbers limits = {QUOTA_LIMITS(UNLIMITED)};
#undef UNLIMITED
    _cleanup_cjson_ cJSON *body = NULL;
    struct quota_record record;
    int64_t version;

    if (etag_expected(call, &version, err) < 0 ||
        call_body(call, &v1_quota_put_table, &body, &limits, err) < 0 ||
        quotas_put(call->services, &call->caller, &call->id, project, &limits, version, &record,
                   err) < 0)
        return -1;
    return respond(call, &record, err);
}

int handle_v1_quota_get(struct call *call, struct error *err)
{
    return get(call, NULL, err);
}

int handle_v1_quota_put(struct call *call, struct error *err)
{
    return put(call, NULL, err);
}

int handle_v1_quota_project_get(struct call *call, struct error *err)
{
    return get(call, &call->ids[1], err);
}

int handle_v1_quota_project_put(struct call *call, struct error *err)
{
    return put(call, &call->ids[1], err);
}
