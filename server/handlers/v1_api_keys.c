#include "server/handlers/v1_api_keys.h"

#include "lib/base/util.h"
#include "server/handlers/fields.h"
#include "server/handlers/page.h"
#include "server/services/api_keys.h"

#define ROLE_CHOICES "viewer|member|admin|operator"

/* --- what comes */

struct create_body {
    const char *name;
    const char *role;
    struct id project;
    int64_t expires_usec;
};

static const struct json_field create_fields[] = {
    FIELD_NAME(struct create_body, true, "What the key is for; need not be unique."),
    {.name = "role",
     .type = JSON_TYPE_STRING,
     .required = true,
     .choices = ROLE_CHOICES,
     .offset = offsetof(struct create_body, role),
     .about = "What the key may do; at most what its maker may."},
    {.name = "project_id",
     .type = JSON_TYPE_ID,
     .offset = offsetof(struct create_body, project),
     .about = "The one project the key is for; absent: the maker's, or all of the tenant."},
    {.name = "expires_at",
     .type = JSON_TYPE_TIME,
     .offset = offsetof(struct create_body, expires_usec),
     .about = "When the key ends by itself; absent: never."},
};

const struct json_table api_key_create_table = JSON_TABLE("ApiKeyCreate", create_fields);

/* --- what goes */

struct key_view {
    struct id id;
    const char *name;
    const char *prefix;
    const char *role;
    struct id project;
    const char *created_by;
    int64_t created_usec;
    int64_t expires_usec;
    int64_t last_used_usec;
    const char *key;
};

#define KEY_FIELDS                                                                                 \
    FIELD_ID(struct key_view), FIELD_NAME(struct key_view, true, NULL),                            \
        {.name = "prefix",                                                                         \
         .type = JSON_TYPE_STRING,                                                                 \
         .required = true,                                                                         \
         .min = API_KEY_PREFIX_SIZE - 1,                                                           \
         .max = API_KEY_PREFIX_SIZE - 1,                                                           \
         .offset = offsetof(struct key_view, prefix),                                              \
         .about = "The part of the key that may be shown; callers appear as `key:<prefix>`."},     \
        {.name = "role",                                                                           \
         .type = JSON_TYPE_STRING,                                                                 \
         .required = true,                                                                         \
         .choices = ROLE_CHOICES,                                                                  \
         .offset = offsetof(struct key_view, role)},                                               \
        {.name = "project_id",                                                                     \
         .type = JSON_TYPE_ID,                                                                     \
         .offset = offsetof(struct key_view, project),                                             \
         .about = "null: all of the tenant."},                                                     \
        {.name = "created_by",                                                                     \
         .type = JSON_TYPE_STRING,                                                                 \
         .max = FIELD_NAME_MAX,                                                                    \
         .offset = offsetof(struct key_view, created_by)},                                         \
        {.name = "created_at",                                                                     \
         .type = JSON_TYPE_TIME,                                                                   \
         .required = true,                                                                         \
         .offset = offsetof(struct key_view, created_usec)},                                       \
        {.name = "expires_at",                                                                     \
         .type = JSON_TYPE_TIME,                                                                   \
         .offset = offsetof(struct key_view, expires_usec)},                                       \
    {                                                                                              \
        .name = "last_used_at", .type = JSON_TYPE_TIME,                                            \
        .offset = offsetof(struct key_view, last_used_usec), .about = "To a minute."               \
    }

static const struct json_field key_fields[] = {KEY_FIELDS};

const struct json_table api_key_table = JSON_TABLE("ApiKey", key_fields);

static const struct json_field created_fields[] = {
    KEY_FIELDS,
    {.name = "key",
     .type = JSON_TYPE_STRING,
     .required = true,
     .min = API_KEY_TEXT_SIZE - 1,
     .max = API_KEY_TEXT_SIZE - 1,
     .offset = offsetof(struct key_view, key),
     .about = "The key itself. It is shown here and never again."},
};

const struct json_table api_key_created_table = JSON_TABLE("ApiKeyCreated", created_fields);

static const struct json_field page_fields[] = {PAGE_FIELDS(api_key_table)};

const struct json_table api_key_page_table = JSON_TABLE("ApiKeyPage", page_fields);

static struct key_view view_of(const struct store_api_key *key)
{
    return (struct key_view){
        .id = key->id,
        .name = key->name,
        .prefix = key->prefix,
        .role = role_name(key->role),
        .project = key->project,
        .created_by = key->created_by,
        .created_usec = key->created_usec,
        .expires_usec = key->expires_usec,
        .last_used_usec = key->last_used_usec,
    };
}

static cJSON *items_of(const struct store_api_keys *keys)
{
    cJSON *items = cJSON_CreateArray();

    for (size_t i = 0; i < keys->count; i++) {
        struct key_view view = view_of(&keys->items[i]);

        json_append(&items, json_encode(&api_key_table, &view));
    }
    return items;
}

/* --- the handlers */

/* Whether the body names a project: every id is one that might be meant. */
static bool names_project(const cJSON *body)
{
    return cJSON_IsString(cJSON_GetObjectItemCaseSensitive(body, "project_id"));
}

int handle_api_key_create(struct call *call, struct error *err)
{
    _cleanup_cjson_ cJSON *body = NULL;
    _cleanup_(store_api_key_done) struct store_api_key key = {.name = NULL};
    _cleanup_(api_key_wipe) struct api_key secret = {.text = ""};
    struct create_body wanted = {.expires_usec = 0};
    struct api_key_wish wish;
    struct key_view view;

    if (call_body(call, &api_key_create_table, &body, &wanted, err) < 0)
        return -1;
    wish = (struct api_key_wish){
        .name = wanted.name,
        .role = role_of_scope(wanted.role),
        .project = names_project(body) ? &wanted.project : NULL,
        .expires_usec = wanted.expires_usec,
    };
    if (api_keys_create(call->services, &call->caller, &wish, &key, &secret, err) < 0)
        return -1;
    view = view_of(&key);
    view.key = secret.text;
    return call_respond_json(call, 201, json_encode(&api_key_created_table, &view), err);
}

int handle_api_key_list(struct call *call, struct error *err)
{
    _cleanup_(store_api_keys_free) struct store_api_keys keys = {.items = NULL};
    struct page_query query;
    bool more = false;

    if (page_query(call, &query, err) < 0 ||
        api_keys_list(call->services, &call->caller, (unsigned)query.limit,
                      id_or_null(&query.cursor), &keys, &more, err) < 0)
        return -1;
    return page_respond(call, &api_key_page_table, items_of(&keys),
                        more ? &keys.items[keys.count - 1].id : NULL, err);
}

int handle_api_key_get(struct call *call, struct error *err)
{
    _cleanup_(store_api_key_done) struct store_api_key key = {.name = NULL};
    struct key_view view;

    if (api_keys_get(call->services, &call->caller, &call->id, &key, err) < 0)
        return -1;
    view = view_of(&key);
    return call_respond_json(call, 200, json_encode(&api_key_table, &view), err);
}

int handle_api_key_revoke(struct call *call, struct error *err)
{
    if (api_keys_revoke(call->services, &call->caller, &call->id, err) < 0)
        return -1;
    http_respond_empty(call->request, 204);
    return 0;
}
