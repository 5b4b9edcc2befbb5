#include "server/handlers/v1_webhooks.h"

#include "lib/base/util.h"
#include "server/handlers/etag.h"
#include "server/handlers/fields.h"
#include "server/handlers/page.h"
#include "server/services/webhooks.h"

#include <atoll/event.h>
#include <string.h>

enum { KINDS_MAX = 32 };

/* What `kinds` may hold: "sandbox.*", "sandbox.deleted". */
#define FAMILY(word) word ".*",
#define KIND(kind)   kind,
static const char *const selectors[] = {EVENT_FAMILIES(FAMILY, FAMILY) EVENT_KINDS(KIND)};
#undef FAMILY
#undef KIND

#define FIRST_SCHEMA(word)  "\"" word ".*\""
#define FAMILY_SCHEMA(word) ",\"" word ".*\""
#define KIND_SCHEMA(kind)   ",\"" kind "\""
#define SELECTORS_SCHEMA                                                                           \
    "{\"items\":{\"enum\":[" EVENT_FAMILIES(FIRST_SCHEMA, FAMILY_SCHEMA)                           \
        EVENT_KINDS(KIND_SCHEMA) "]}}"

/* Of create and patch. */
struct webhook_request {
    struct id project;
    const char *url;
    const cJSON *kinds;
    const char *secret;
    bool is_active;
};

#define URL_FIELD(required_)                                                                       \
    {                                                                                              \
        .name = "url", .type = JSON_TYPE_STRING, .required = (required_), .min = 1,                \
        .max = WEBHOOK_URL_MAX, .offset = offsetof(struct webhook_request, url), .format = "uri",  \
        .about = "Where events are sent to: https:// or http://, without user information"         \
    }
#define KINDS_FIELD                                                                                \
    {                                                                                              \
        .name = "kinds", .type = JSON_TYPE_STRINGS, .max = KINDS_MAX,                              \
        .offset = offsetof(struct webhook_request, kinds), .schema = SELECTORS_SCHEMA,             \
        .about = "Of the events to send: whole, or a family (sandbox.*); empty: all"               \
    }

static const struct json_field create_fields[] = {
    {.name = "project_id",
     .type = JSON_TYPE_ID,
     .offset = offsetof(struct webhook_request, project),
     .about = "Only the events of this project; without it, all of the tenant's"},
    URL_FIELD(true),
    KINDS_FIELD,
    {.name = "secret",
     .type = JSON_TYPE_STRING,
     .min = WEBHOOK_SECRET_MIN,
     .max = WEBHOOK_SECRET_MAX,
     .offset = offsetof(struct webhook_request, secret),
     .about = "The key of the signatures; made when it is not given"},
};
const struct json_table v1_webhook_create_table = JSON_TABLE("WebhookCreate", create_fields);

static const struct json_field patch_fields[] = {
    URL_FIELD(false),
    KINDS_FIELD,
    {.name = "is_active",
     .type = JSON_TYPE_BOOL,
     .offset = offsetof(struct webhook_request, is_active),
     .about = "While it is not, nothing is sent and no event is kept for it"},
};
const struct json_table v1_webhook_patch_table = JSON_TABLE("WebhookPatch", patch_fields);

struct webhook_view {
    struct id id;
    struct id project;
    const char *url;
    cJSON *kinds;
    bool is_active;
    int64_t created_usec;
    int64_t updated_usec;
    const char *secret;
};

#define WEBHOOK_FIELDS                                                                             \
    FIELD_ID(struct webhook_view),                                                                 \
        {.name = "project_id",                                                                     \
         .type = JSON_TYPE_ID,                                                                     \
         .offset = offsetof(struct webhook_view, project),                                         \
         .about = "Null: of the whole tenant"},                                                    \
        {.name = "url",                                                                            \
         .type = JSON_TYPE_STRING,                                                                 \
         .required = true,                                                                         \
         .max = WEBHOOK_URL_MAX,                                                                   \
         .offset = offsetof(struct webhook_view, url),                                             \
         .format = "uri"},                                                                         \
        {.name = "kinds",                                                                          \
         .type = JSON_TYPE_STRINGS,                                                                \
         .required = true,                                                                         \
         .max = KINDS_MAX,                                                                         \
         .offset = offsetof(struct webhook_view, kinds),                                           \
         .about = "Of the events that are sent; empty: all"},                                      \
        {.name = "is_active",                                                                      \
         .type = JSON_TYPE_BOOL,                                                                   \
         .required = true,                                                                         \
         .offset = offsetof(struct webhook_view, is_active)},                                      \
        FIELDS_CHANGED(struct webhook_view)

static const struct json_field webhook_fields[] = {WEBHOOK_FIELDS};
const struct json_table v1_webhook_table = JSON_TABLE("Webhook", webhook_fields);

static const struct json_field created_fields[] = {
    WEBHOOK_FIELDS,
    {.name = "secret",
     .type = JSON_TYPE_STRING,
     .required = true,
     .max = WEBHOOK_SECRET_MAX,
     .offset = offsetof(struct webhook_view, secret),
     .about = "Shown this once"},
};
const struct json_table v1_webhook_created_table = JSON_TABLE("WebhookCreated", created_fields);

static const struct json_field webhook_page_fields[] = {PAGE_FIELDS(v1_webhook_table)};
const struct json_table v1_webhook_page_table = JSON_TABLE("WebhookPage", webhook_page_fields);

#define DELIVERY_STATES "pending|delivered|dead"

struct delivery_view {
    struct id id;
    struct id webhook;
    const char *event_id;
    const char *state;
    int64_t attempts;
    int64_t next_attempt_usec;
    int64_t last_status;
    const char *last_error;
    int64_t created_usec;
    int64_t ended_usec;
    cJSON *payload;
};

static const struct json_field delivery_fields[] = {
    {.name = "id",
     .type = JSON_TYPE_ID,
     .required = true,
     .offset = offsetof(struct delivery_view, id),
     .about = "The header Atoll-Delivery; the same for each attempt"},
    {.name = "webhook_id",
     .type = JSON_TYPE_ID,
     .required = true,
     .offset = offsetof(struct delivery_view, webhook)},
    {.name = "event_id",
     .type = JSON_TYPE_STRING,
     .required = true,
     .max = 63,
     .offset = offsetof(struct delivery_view, event_id)},
    {.name = "state",
     .type = JSON_TYPE_STRING,
     .required = true,
     .choices = DELIVERY_STATES,
     .offset = offsetof(struct delivery_view, state)},
    {.name = "attempts",
     .type = JSON_TYPE_INTEGER,
     .required = true,
     .min = 0,
     .max = INT32_MAX,
     .offset = offsetof(struct delivery_view, attempts)},
    {.name = "next_attempt_at",
     .type = JSON_TYPE_TIME,
     .offset = offsetof(struct delivery_view, next_attempt_usec),
     .about = "Null when it has ended"},
    {.name = "last_status",
     .type = JSON_TYPE_INTEGER,
     .min = 100,
     .max = 999,
     .offset = offsetof(struct delivery_view, last_status),
     .about = "The HTTP status of the last answer; null without one"},
    {.name = "last_error",
     .type = JSON_TYPE_STRING,
     .max = 255,
     .offset = offsetof(struct delivery_view, last_error),
     .about = "Why the last attempt failed"},
    {.name = "created_at",
     .type = JSON_TYPE_TIME,
     .required = true,
     .offset = offsetof(struct delivery_view, created_usec)},
    {.name = "ended_at",
     .type = JSON_TYPE_TIME,
     .offset = offsetof(struct delivery_view, ended_usec)},
    {.name = "payload",
     .type = JSON_TYPE_OBJECT,
     .required = true,
     .max = INT32_MAX,
     .offset = offsetof(struct delivery_view, payload),
     .about = "The event as it is sent"},
};
const struct json_table v1_webhook_delivery_table = JSON_TABLE("WebhookDelivery", delivery_fields);

static const struct json_field delivery_page_fields[] = {PAGE_FIELDS(v1_webhook_delivery_table)};
const struct json_table v1_webhook_delivery_page_table =
    JSON_TABLE("WebhookDeliveryPage", delivery_page_fields);

struct delivery_query {
    int64_t limit;
    struct id cursor;
    const char *state;
};

static const struct json_field delivery_query_fields[] = {
    PAGE_QUERY_FIELDS(struct delivery_query),
    {.name = "state",
     .type = JSON_TYPE_STRING,
     .choices = DELIVERY_STATES,
     .offset = offsetof(struct delivery_query, state),
     .about = "Only those in this state"},
};
const struct json_table v1_webhook_delivery_query =
    JSON_TABLE("WebhookDeliveryQuery", delivery_query_fields);

static bool is_selector(const char *text)
{
    for (size_t i = 0; i < ARRAY_SIZE(selectors); i++)
        if (strcmp(text, selectors[i]) == 0)
            return true;
    return false;
}

/* The kinds as JSON text, the caller's; NULL when none were given. */
static int take_kinds(const cJSON *kinds, char **ret_json, struct error *err)
{
    const cJSON *kind;

    cJSON_ArrayForEach(kind, kinds)
    {
        if (!is_selector(kind->valuestring))
            return error_set_field(err, ERR_INVALID_FIELD, "kinds",
                                   "'kinds': there is no kind of events '%.64s'",
                                   kind->valuestring);
    }
    if (!kinds)
        return 0;
    *ret_json = cJSON_PrintUnformatted(kinds);
    return *ret_json ? 0 : error_no_memory(err);
}

/* `secret` is NULL in every answer but that to the create. */
static cJSON *webhook_view(const struct webhook_record *record, const char *secret)
{
    struct webhook_view view = {
        .id = record->id,
        .project = record->project,
        .url = record->url,
        .kinds = cJSON_Parse(record->kinds_json),
        .is_active = record->is_active,
        .created_usec = record->created_usec,
        .updated_usec = record->updated_usec,
        .secret = secret,
    };

    if (!view.kinds)
        return NULL;
    return json_encode(secret ? &v1_webhook_created_table : &v1_webhook_table, &view);
}

static cJSON *delivery_view(const struct webhook_delivery *delivery)
{
    struct delivery_view view = {
        .id = delivery->id,
        .webhook = delivery->webhook,
        .event_id = delivery->event_id,
        .state = delivery->state,
        .attempts = delivery->attempts,
        .next_attempt_usec = delivery->next_attempt_usec,
        .last_status = delivery->last_status ? delivery->last_status : JSON_NULL_INTEGER,
        .last_error = delivery->last_error,
        .created_usec = delivery->created_usec,
        .ended_usec = delivery->ended_usec,
        .payload = cJSON_Parse(delivery->payload_json),
    };

    return view.payload ? json_encode(&v1_webhook_delivery_table, &view) : NULL;
}

int handle_v1_webhook_create(struct call *call, struct error *err)
{
    _cleanup_(webhook_record_free) struct webhook_record record = {.owner = NULL};
    _cleanup_cjson_ cJSON *body = NULL;
    _cleanup_free_ char *kinds = NULL;
    struct webhook_request request = {.url = NULL};
    char secret[WEBHOOK_SECRET_MAX + 1];
    struct webhook_spec spec;

    if (call_body(call, &v1_webhook_create_table, &body, &request, err) < 0 ||
        take_kinds(request.kinds, &kinds, err) < 0)
        return -1;
    spec = (struct webhook_spec){
        .project = id_or_null(&request.project),
        .url = request.url,
        .secret = request.secret,
        .kinds_json = kinds ? kinds : "[]",
    };
    if (webhooks_create(call->services, &call->caller, &spec, secret, &record, err) < 0)
        return -1;
    return etag_respond(call, 201, record.version, webhook_view(&record, secret), err);
}

int handle_v1_webhook_list(struct call *call, struct error *err)
{
    _cleanup_(webhook_list_free) struct webhook_list list = {.items = NULL};
    struct page_query query;
    cJSON *items;
    bool more;

    if (page_query(call, &query, err) < 0 ||
        webhooks_list(call->services, &call->caller, (uint32_t)query.limit,
                      id_or_null(&query.cursor), &list, &more, err) < 0)
        return -1;
    items = cJSON_CreateArray();
    for (size_t i = 0; i < list.count; i++)
        json_append(&items, webhook_view(&list.items[i], NULL));
    return page_respond(call, &v1_webhook_page_table, items,
                        more ? &list.items[list.count - 1].id : NULL, err);
}

int handle_v1_webhook_get(struct call *call, struct error *err)
{
    _cleanup_(webhook_record_free) struct webhook_record record = {.owner = NULL};

    if (webhooks_get(call->services, &call->caller, &call->id, &record, err) < 0)
        return -1;
    return etag_respond(call, 200, record.version, webhook_view(&record, NULL), err);
}

int handle_v1_webhook_patch(struct call *call, struct error *err)
{
    _cleanup_(webhook_record_free) struct webhook_record record = {.owner = NULL};
    _cleanup_cjson_ cJSON *body = NULL;
    _cleanup_free_ char *kinds = NULL;
    struct webhook_request request = {.url = NULL};
    struct webhook_patch patch;
    int64_t version;

    if (etag_expected(call, &version, err) < 0 ||
        call_body(call, &v1_webhook_patch_table, &body, &request, err) < 0 ||
        take_kinds(request.kinds, &kinds, err) < 0)
        return -1;
    patch = (struct webhook_patch){
        .url = request.url,
        .kinds_json = kinds,
        .set_active = cJSON_IsBool(cJSON_GetObjectItemCaseSensitive(body, "is_active")),
        .is_active = request.is_active,
    };
    if (webhooks_patch(call->services, &call->caller, &call->id, &patch, version, &record, err) < 0)
        return -1;
    return etag_respond(call, 200, record.version, webhook_view(&record, NULL), err);
}

int handle_v1_webhook_delete(struct call *call, struct error *err)
{
    int64_t version;

    if (etag_expected(call, &version, err) < 0 ||
        webhooks_delete(call->services, &call->caller, &call->id, version, err) < 0)
        return -1;
    http_respond_empty(call->request, 204);
    return 0;
}

int handle_v1_webhook_deliveries(struct call *call, struct error *err)
{
    _cleanup_(webhook_delivery_list_free) struct webhook_delivery_list list = {.items = NULL};
    struct delivery_query query = {.limit = PAGE_LIMIT_DEFAULT};
    struct call_query_storage storage;
    struct webhook_delivery_filter filter;
    cJSON *items;
    bool more;

    if (call_query(call, &v1_webhook_delivery_query, &storage, &query, err) < 0)
        return -1;
    filter = (struct webhook_delivery_filter){
        .state = query.state,
        .before = id_or_null(&query.cursor),
        .limit = (uint32_t)query.limit,
    };
    if (webhooks_deliveries(call->services, &call->caller, &call->id, &filter, &list, &more, err) <
        0)
        return -1;
    items = cJSON_CreateArray();
    for (size_t i = 0; i < list.count; i++)
        json_append(&items, delivery_view(&list.items[i]));
    return page_respond(call, &v1_webhook_delivery_page_table, items,
                        more ? &list.items[list.count - 1].id : NULL, err);
}

int handle_v1_webhook_retry(struct call *call, struct error *err)
{
    _cleanup_(webhook_delivery_free) struct webhook_delivery delivery = {.owner = NULL};

    if (webhooks_retry(call->services, &call->caller, &call->ids[0], &call->ids[1], &delivery,
                       err) < 0)
        return -1;
    return call_respond_json(call, 200, delivery_view(&delivery), err);
}
