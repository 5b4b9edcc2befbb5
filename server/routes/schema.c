#include "server/routes/schema.h"

#include "lib/base/util.h"

#include <string.h>

/* As time_parse has it; "format" alone would allow years and letters that it does not. */
#define TIME_PATTERN                                                                               \
    "^(?:19[7-9][0-9]|[2-9][0-9]{3})-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])T"                \
    "(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\\.[0-9]{1,9})?"                          \
    "(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])$"

enum { COMPONENT_NAME_MAX = 96 };

static void fail(struct schema_set *set, const char *what)
{
    if (!set->failed)
        (void)error_set(set->err, ERR_INTERNAL, "the API's description: %s", what);
    set->failed = true;
}

bool schema_put(struct schema_set *set, cJSON *object, const char *name, cJSON *value)
{
    if (value && cJSON_AddItemToObject(object, name, value))
        return true;
    cJSON_Delete(value);
    fail(set, name);
    return false;
}

cJSON *schema_literal(struct schema_set *set, const char *text)
{
    cJSON *value = cJSON_Parse(text);

    if (!value)
        fail(set, text);
    return value;
}

static void put_text(struct schema_set *set, cJSON *object, const char *name, const char *text)
{
    if (text)
        schema_put(set, object, name, cJSON_CreateString(text));
}

static void put_number(struct schema_set *set, cJSON *object, const char *name, int64_t number)
{
    schema_put(set, object, name, cJSON_CreateNumber((double)number));
}

/* A range that an answer's table leaves out says nothing; in a request it would be checked. */
static void put_range(struct schema_set *set, cJSON *schema, const struct json_field *field,
                      enum schema_use use, const char *minimum, const char *maximum)
{
    if (use == SCHEMA_ANSWER && field->min == 0 && field->max == 0)
        return;
    put_number(set, schema, minimum, field->min);
    put_number(set, schema, maximum, field->max);
}

/* "a|b|c" as an array of words. */
static cJSON *choices_of(const char *choices)
{
    cJSON *words = cJSON_CreateArray();

    while (*choices != '\0') {
        size_t length = strcspn(choices, "|");
        char word[64];

        (void)snprintf(word, sizeof(word), "%.*s", (int)length, choices);
        cJSON_AddItemToArray(words, cJSON_CreateString(word));
        choices += length;
        choices += *choices == '|';
    }
    return words;
}

static void describe_string(struct schema_set *set, cJSON *schema, const struct json_field *field,
                            enum schema_use use)
{
    put_text(set, schema, "type", "string");
    if (field->choices)
        schema_put(set, schema, "enum", choices_of(field->choices));
    else
        put_range(set, schema, field, use, "minLength", "maxLength");
}

static void describe_array(struct schema_set *set, cJSON *schema, const struct json_field *field,
                           enum schema_use use)
{
    put_text(set, schema, "type", "array");
    put_range(set, schema, field, use, "minItems", "maxItems");
    if (field->type == JSON_TYPE_STRINGS)
        schema_put(set, schema, "items", schema_literal(set, "{\"type\":\"string\"}"));
    else if (field->of)
        schema_put(set, schema, "items", schema_of_table(set, field->of, use));
}

static void describe_object(struct schema_set *set, cJSON *schema, const struct json_field *field,
                            enum schema_use use)
{
    put_text(set, schema, "type", "object");
    put_range(set, schema, field, use, "minProperties", "maxProperties");
    if (field->of)
        schema_put(set, schema, "additionalProperties", schema_of_table(set, field->of, use));
    else if (field->type == JSON_TYPE_MAP)
        schema_put(set, schema, "additionalProperties",
                   schema_literal(set, "{\"type\":\"string\"}"));
}

/* The members that the field's type stands for. */
static void describe_type(struct schema_set *set, cJSON *schema, const struct json_field *field,
                          enum schema_use use)
{
    switch (field->type) {
    case JSON_TYPE_STRING:
        describe_string(set, schema, field, use);
        break;
    case JSON_TYPE_INTEGER:
        put_text(set, schema, "type", "integer");
        put_range(set, schema, field, use, "minimum", "maximum");
        break;
    case JSON_TYPE_NUMBER:
        put_text(set, schema, "type", "number");
        put_range(set, schema, field, use, "minimum", "maximum");
        break;
    case JSON_TYPE_BOOL:
        put_text(set, schema, "type", "boolean");
        break;
    case JSON_TYPE_ID:
        put_text(set, schema, "type", "string");
        put_text(set, schema, "pattern", SCHEMA_ID_PATTERN);
        break;
    case JSON_TYPE_TIME:
        put_text(set, schema, "type", "string");
        put_text(set, schema, "format", "date-time");
        put_text(set, schema, "pattern", TIME_PATTERN);
        break;
    case JSON_TYPE_OBJECT:
    case JSON_TYPE_MAP:
        describe_object(set, schema, field, use);
        break;
    case JSON_TYPE_ARRAY:
    case JSON_TYPE_STRINGS:
        describe_array(set, schema, field, use);
        break;
    case JSON_TYPE_RECORD: /* refers to its table */
    case JSON_TYPE_ANY:
        break;
    }
}

/* Adds the members of a JSON text over what is there. */
static void merge(struct schema_set *set, cJSON *schema, const char *text)
{
    _cleanup_cjson_ cJSON *members = text ? schema_literal(set, text) : NULL;

    while (members && members->child) {
        cJSON *member = cJSON_DetachItemViaPointer(members, members->child);

        cJSON_DeleteItemFromObjectCaseSensitive(schema, member->string);
        schema_put(set, schema, member->string, member);
    }
}

cJSON *schema_of_field(struct schema_set *set, const struct json_field *field, enum schema_use use)
{
    cJSON *schema = field->type == JSON_TYPE_RECORD ? schema_of_table(set, field->of, use)
                                                    : cJSON_CreateObject();

    describe_type(set, schema, field, use);
    merge(set, schema, field->schema);
    if (field->format)
        put_text(set, schema, "format", field->format);
    return schema;
}

/* {"anyOf":[schema,{"type":"null"}]}. Takes `schema`. */
static cJSON *nullable(struct schema_set *set, cJSON *schema)
{
    cJSON *wrapped = cJSON_CreateObject();
    cJSON *choices = cJSON_CreateArray();

    cJSON_AddItemToArray(choices, schema);
    cJSON_AddItemToArray(choices, schema_literal(set, "{\"type\":\"null\"}"));
    schema_put(set, wrapped, "anyOf", choices);
    return wrapped;
}

static cJSON *describe_member(struct schema_set *set, const struct json_field *field,
                              enum schema_use use)
{
    cJSON *schema = schema_of_field(set, field, use);

    /* A schema without members allows null already. */
    if (!field->required && !(use == SCHEMA_ANSWER && field->omitted) && schema && schema->child)
        schema = nullable(set, schema);
    put_text(set, schema, "description", field->about);
    return schema;
}

static cJSON *describe_table(struct schema_set *set, const struct json_table *table,
                             enum schema_use use)
{
    cJSON *schema = schema_literal(set, "{\"type\":\"object\"}");
    cJSON *properties = cJSON_CreateObject();
    cJSON *required = cJSON_CreateArray();

    for (size_t i = 0; i < table->count; i++) {
        const struct json_field *field = &table->fields[i];

        schema_put(set, properties, field->name, describe_member(set, field, use));
        if (use == SCHEMA_ANSWER ? !field->omitted : field->required)
            cJSON_AddItemToArray(required, cJSON_CreateString(field->name));
    }
    schema_put(set, schema, "properties", properties);
    schema_put(set, schema, "required", required);
    schema_put(set, schema, "additionalProperties", cJSON_CreateFalse());
    merge(set, schema, table->schema);
    return schema;
}

static bool is_made(const struct schema_set *set, const struct json_table *table,
                    enum schema_use use)
{
    for (size_t i = 0; i < set->count; i++)
        if (set->made[i].table == table && set->made[i].use == use)
            return true;
    return false;
}

static cJSON *reference(struct schema_set *set, const char *name)
{
    cJSON *schema = cJSON_CreateObject();
    char target[COMPONENT_NAME_MAX + 32];

    (void)snprintf(target, sizeof(target), "#/components/schemas/%s", name);
    put_text(set, schema, "$ref", target);
    return schema;
}

cJSON *schema_of_table(struct schema_set *set, const struct json_table *table, enum schema_use use)
{
    bool input = use == SCHEMA_REQUEST && is_made(set, table, SCHEMA_ANSWER);
    char name[COMPONENT_NAME_MAX];

    (void)snprintf(name, sizeof(name), "%s%s", table->name, input ? "Input" : "");
    if (is_made(set, table, use))
        return reference(set, name);
    if (set->count == SCHEMA_TABLES_MAX || cJSON_HasObjectItem(set->components, name)) {
        fail(set, name); /* two tables of one name: a reader could not tell them apart */
        return NULL;
    }
    set->made[set->count].table = table;
    set->made[set->count++].use = use;
    schema_put(set, set->components, name, describe_table(set, table, use));
    return reference(set, name);
}
