#include "server/handlers/call.h"

#include "lib/base/util.h"
#include "lib/json/json.h"
#include "server/services/places.h"

#include <limits.h>
#include <string.h>
#include <strings.h>

enum {
    QUERY_VALUE_MAX = 3 * 4096, /* a path of 4,095 bytes, each sent as %XX */
    RETRY_AFTER_S = 1,          /* most requests of a tenant are over by then */
};

int call_take_place(struct call *call, unsigned most, struct error *err)
{
    if (!places_take(call->services->requests, &call->caller.tenant, most, UINT_MAX))
        return error_set_limit(err, ERR_TOO_MANY, most, most, RETRY_AFTER_S,
                               "%u requests of the tenant are under way already", most);
    call->has_place = true;
    return 0;
}

void call_leave_place(struct call *call)
{
    if (call->has_place)
        places_give(call->services->requests, &call->caller.tenant);
    call->has_place = false;
}

/* True for "application/json", with or without parameters such as a charset. */
static bool is_json(const char *content_type)
{
    static const char json[] = "application/json";
    size_t length = sizeof(json) - 1;

    return content_type && strncasecmp(content_type, json, length) == 0 &&
           strchr("; \t", content_type[length]);
}

int call_json_body(struct call *call, bool optional, cJSON **ret_body, struct error *err)
{
    size_t max = (size_t)call->services->config->server_max_body_bytes;
    const char *data;
    size_t size;

    if (http_request_body(call->request, max, &data, &size, err) < 0)
        return -1;
    if (size == 0 && optional) {
        *ret_body = NULL;
        return 0;
    }
    if (!is_json(http_request_header(call->request, "Content-Type")))
        return error_set(err, ERR_UNSUPPORTED_MEDIA_TYPE,
                         "the body must come as Content-Type: application/json");
    return json_parse(data, size, ret_body, err);
}

int call_respond_json(struct call *call, int status, cJSON *body, struct error *err)
{
    if (!body)
        return error_no_memory(err);
    http_respond_json(call->request, status, body);
    cJSON_Delete(body);
    return 0;
}

int call_respond_text(struct call *call, int status, const struct json_text *text,
                      struct error *err)
{
    if (text->failed)
        return error_no_memory(err);
    http_respond_bytes(call->request, status, "application/json", text->data, text->size);
    return 0;
}

int call_body(struct call *call, const struct json_table *table, cJSON **ret_body, void *target,
              struct error *err)
{
    _cleanup_cjson_ cJSON *body = NULL;

    if (call_json_body(call, false, &body, err) < 0 ||
        json_decode(body, table->fields, table->count, "", target, err) < 0)
        return -1;
    *ret_body = TAKE_PTR(body);
    return 0;
}

static int bad_parameter(const struct json_field *field, const char *wanted, struct error *err)
{
    return error_set_field(err, ERR_INVALID_FIELD, field->name, "'%s' must be %s", field->name,
                           wanted);
}

/* The JSON value that a parameter's text stands for, so that the body's rules decide about it. */
static int parameter_value(const struct json_field *field, const char *text, cJSON **ret_value,
                           struct error *err)
{
    bool negative = text[0] == '-';
    uint64_t number;

    switch (field->type) {
    case JSON_TYPE_INTEGER:
        if (!parse_u64(text + negative, INT64_MAX, &number))
            return bad_parameter(field, "an integer", err);
        *ret_value = cJSON_CreateNumber(negative ? -(double)number : (double)number);
        break;
    case JSON_TYPE_BOOL:
        if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
            return bad_parameter(field, "true or false", err);
        *ret_value = cJSON_CreateBool(text[0] == 't');
        break;
    default:
        *ret_value = cJSON_CreateString(text);
        break;
    }
    return *ret_value ? 0 : error_no_memory(err);
}

/* Keeps a string's text beyond the life of its JSON value. */
static int keep_text(struct call_query_storage *storage, const struct json_field *field,
                     void *target, const char *text, struct error *err)
{
    size_t size = strlen(text) + 1;
    char *kept = storage->text + storage->used;

    if (size > sizeof(storage->text) - storage->used)
        return error_set(err, ERR_BAD_REQUEST, "the query is too long");
    memcpy(kept, text, size);
    storage->used += size;
    memcpy((char *)target + field->offset, &kept, sizeof(kept)); /* NOLINT(bugprone-sizeof-*) */
    return 0;
}

static int decode_parameter(struct call *call, const struct json_field *field,
                            struct call_query_storage *storage, void *target, struct error *err)
{
    _cleanup_cjson_ cJSON *object = NULL;
    cJSON *value = NULL;
    char text[QUERY_VALUE_MAX];
    int found = http_request_query_value(call->request, field->name, text, sizeof(text), err);

    if (found < 0)
        return -1;
    if (!found)
        return field->required ? error_set_field(err, ERR_MISSING_FIELD, field->name,
                                                 "the parameter '%s' is required", field->name)
                               : 0;
    if (parameter_value(field, text, &value, err) < 0)
        return -1;
    object = cJSON_CreateObject();
    if (!cJSON_AddItemToObject(object, field->name, value)) {
        cJSON_Delete(value);
        return error_no_memory(err);
    }
    if (json_decode(object, field, 1, "", target, err) < 0)
        return -1;
    return field->type == JSON_TYPE_STRING ? keep_text(storage, field, target, text, err) : 0;
}

static int refuse_unknown_parameters(struct call *call, const struct json_table *table,
                                     struct error *err)
{
    const char *query = http_request_query(call->request);
    char name[ERROR_FIELD_MAX];

    while (*query != '\0') {
        size_t length = strcspn(query, "=&");
        bool known = length == 0;

        for (size_t i = 0; i < table->count && !known; i++)
            known = strlen(table->fields[i].name) == length &&
                    memcmp(table->fields[i].name, query, length) == 0;
        if (!known) {
            (void)snprintf(name, sizeof(name), "%.*s", (int)length, query);
            return json_refuse_unknown(table, "parameter", "query", name, err);
        }
        query += strcspn(query, "&");
        query += *query == '&';
    }
    return 0;
}

int call_no_query(struct call *call, struct error *err)
{
    static const struct json_table none = {.count = 0};

    return refuse_unknown_parameters(call, &none, err);
}

int call_query(struct call *call, const struct json_table *table,
               struct call_query_storage *storage, void *target, struct error *err)
{
    storage->used = 0;
    if (refuse_unknown_parameters(call, table, err) < 0)
        return -1;
    for (size_t i = 0; i < table->count; i++)
        if (decode_parameter(call, &table->fields[i], storage, target, err) < 0)
            return -1;
    return 0;
}
