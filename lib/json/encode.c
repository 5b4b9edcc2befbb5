#include "lib/base/time.h"
#include "lib/base/util.h"
#include "lib/json/json.h"

#include <string.h>

static cJSON *encode_string(const void *member)
{
    const char *text;

    memcpy(&text, member, sizeof(text));
    return text ? cJSON_CreateString(text) : cJSON_CreateNull();
}

static cJSON *encode_integer(const struct json_field *field, const void *member)
{
    int64_t value;

    memcpy(&value, member, sizeof(value));
    if (value == JSON_NULL_INTEGER && !field->required)
        return cJSON_CreateNull();
    return cJSON_CreateNumber((double)value);
}

static cJSON *encode_number(const void *member)
{
    double value;

    memcpy(&value, member, sizeof(value));
    return cJSON_CreateNumber(value);
}

static cJSON *encode_bool(const void *member)
{
    bool value;

    memcpy(&value, member, sizeof(value));
    return cJSON_CreateBool(value);
}

static cJSON *encode_id(const struct json_field *field, const void *member)
{
    char text[ID_TEXT_SIZE];
    struct id id;

    memcpy(&id, member, sizeof(id));
    if (!field->required && id_is_none(&id))
        return cJSON_CreateNull();
    id_format(&id, text);
    return cJSON_CreateString(text);
}

static cJSON *encode_time(const struct json_field *field, const void *member)
{
    char text[TIME_TEXT_SIZE];
    int64_t usec;

    memcpy(&usec, member, sizeof(usec));
    if (!field->required && usec == 0)
        return cJSON_CreateNull();
    time_format(usec, text);
    return cJSON_CreateString(text);
}

/* The value leaves the struct. One that is required was lost to a lack of memory. */
static cJSON *encode_moved(const struct json_field *field, void *member)
{
    static const cJSON *const nothing = NULL;
    cJSON *value;

    memcpy(&value, member, sizeof(value));
    memcpy(member, &nothing, sizeof(nothing)); /* NOLINT(bugprone-sizeof-expression) */
    return value || field->required ? value : cJSON_CreateNull();
}

static cJSON *encode_field(const struct json_field *field, void *member)
{
    switch (field->type) {
    case JSON_TYPE_STRING:
        return encode_string(member);
    case JSON_TYPE_INTEGER:
        return encode_integer(field, member);
    case JSON_TYPE_NUMBER:
        return encode_number(member);
    case JSON_TYPE_BOOL:
        return encode_bool(member);
    case JSON_TYPE_ID:
        return encode_id(field, member);
    case JSON_TYPE_TIME:
        return encode_time(field, member);
    case JSON_TYPE_RECORD:
        return json_encode(field->of, member);
    case JSON_TYPE_OBJECT:
    case JSON_TYPE_ARRAY:
    case JSON_TYPE_STRINGS:
    case JSON_TYPE_MAP:
    case JSON_TYPE_ANY:
        return encode_moved(field, member);
    }
    return NULL;
}

/* Goes through all fields whatever fails, so that all that is to be moved has been. */
cJSON *json_encode(const struct json_table *table, void *source)
{
    _cleanup_cjson_ cJSON *object = cJSON_CreateObject();
    bool failed = !object;

    for (size_t i = 0; i < table->count; i++) {
        const struct json_field *field = &table->fields[i];
        cJSON *value = encode_field(field, (char *)source + field->offset);

        if (field->omitted && cJSON_IsNull(value)) {
            cJSON_Delete(value);
        } else if (!cJSON_AddItemToObject(object, field->name, value)) {
            cJSON_Delete(value);
            failed = true;
        }
    }
    return failed ? NULL : TAKE_PTR(object);
}

void json_append(cJSON **array, cJSON *item)
{
    if (*array && item && cJSON_AddItemToArray(*array, item))
        return;
    cJSON_Delete(item);
    cJSON_Delete(*array);
    *array = NULL;
}
