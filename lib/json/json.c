#include "lib/json/json.h"

#include "lib/base/time.h"
#include "lib/base/util.h"

#include <math.h>
#include <string.h>

/* The largest integers that a double holds exactly (2^53): beyond it "the same number" is not. */
#define JSON_INTEGER_MAX 9007199254740992.0

/* A member's name in the text; size 0 where there is none. */
struct scan_key {
    const char *start;
    int size;
};

/* Where the scan is: the name that was last passed at each level, for complaints to point at. */
struct scan {
    const char *limit;
    struct scan_key keys[JSON_DEPTH_MAX + 1];
    size_t depth;
};

/* Remembers the string that ends at `end` when a colon follows, which makes it a member's name. */
static void note_key(struct scan *scan, const char *start, const char *end)
{
    const char *next = end + 1;

    while (next < scan->limit && strchr(" \t\r\n", *next))
        next++;
    if (next < scan->limit && *next == ':' && end - start < ERROR_FIELD_MAX)
        scan->keys[scan->depth] = (struct scan_key){start, (int)(end - start)};
}

static int refuse_character(const struct scan *scan, const char *what, struct error *err)
{
    char field[ERROR_FIELD_MAX] = "";

    for (size_t i = 0; i <= scan->depth; i++) {
        size_t used = strlen(field);

        if (scan->keys[i].size > 0)
            (void)snprintf(field + used, sizeof(field) - used, "%s%.*s", used ? "." : "",
                           scan->keys[i].size, scan->keys[i].start);
    }
    return error_set_field(err, ERR_INVALID_FIELD, field, "'%s' holds %s", field, what);
}

static int open_level(struct scan *scan, struct error *err)
{
    if (scan->depth == JSON_DEPTH_MAX)
        return error_set(err, ERR_BAD_REQUEST, "the body is nested deeper than %d levels",
                         JSON_DEPTH_MAX);
    scan->keys[++scan->depth] = (struct scan_key){0};
    return 0;
}

/*
 * Passes over the string that starts behind `c` and returns its closing quote (or the limit). Two
 * things that cJSON lets through are refused: \u0000, which would cut a C string short, and bare
 * control characters (RFC 8259, section 7).
 */
static const char *scan_string(struct scan *scan, const char *c, struct error *err)
{
    const char *start = ++c;

    for (; c < scan->limit && *c != '"'; c++) {
        if ((unsigned char)*c < 0x20) {
            (void)refuse_character(scan, "a bare control character: a line feed is written \\n",
                                   err);
            return NULL;
        }
        if (*c != '\\')
            continue;
        if (scan->limit - c > 5 && memcmp(c, "\\u0000", 6) == 0) {
            (void)refuse_character(scan, "a NUL character", err);
            return NULL;
        }
        if (++c == scan->limit)
            break;
    }
    if (c < scan->limit)
        note_key(scan, start, c);
    return c;
}

/* One pass over the text before cJSON sees it: depth, strings, NUL bytes. */
static int scan_text(const char *text, size_t size, struct error *err)
{
    struct scan scan = {.limit = text + size};

    for (const char *c = text; c < scan.limit; c++) {
        if (*c == '\0')
            return error_set(err, ERR_BAD_REQUEST, "the body holds a NUL byte");
        if (*c == '"') {
            c = scan_string(&scan, c, err);
            if (!c)
                return -1;
        } else if (*c == '{' || *c == '[') {
            if (open_level(&scan, err) < 0)
                return -1;
        } else if (*c == '}' || *c == ']') {
            scan.depth -= scan.depth > 0;
        }
    }
    return 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorts the member names of one object: a quadratic comparison would be the client's lever. */
static int refuse_duplicate_members(const cJSON *object, struct error *err)
{
    size_t count = (size_t)cJSON_GetArraySize(object);
    _cleanup_free_ const char **names = NULL;
    const cJSON *member;
    size_t i = 0;

    if (count < 2)
        return 0;
    names = calloc(count, sizeof(*names));
    if (!names)
        return error_no_memory(err);
    cJSON_ArrayForEach(member, object) names[i++] = member->string;
    qsort(names, count, sizeof(*names), compare_names);
    for (i = 1; i < count; i++) {
        if (strcmp(names[i - 1], names[i]) == 0)
            return error_set_field(err, ERR_BAD_REQUEST, names[i],
                                   "the member '%.64s' occurs twice", names[i]);
    }
    return 0;
}

/* Recursion is bounded by JSON_DEPTH_MAX. */
static int refuse_duplicates(const cJSON *value, struct error *err)
{
    const cJSON *child;

    if (cJSON_IsObject(value) && refuse_duplicate_members(value, err) < 0)
        return -1;
    cJSON_ArrayForEach(child, value)
    {
        if ((cJSON_IsObject(child) || cJSON_IsArray(child)) && refuse_duplicates(child, err) < 0)
            return -1;
    }
    return 0;
}

int json_parse(const char *text, size_t size, cJSON **ret_value, struct error *err)
{
    _cleanup_cjson_ cJSON *value = NULL;
    const char *end = NULL;

    if (size == 0)
        return error_set(err, ERR_BAD_REQUEST, "the body is empty: JSON is needed");
    if (!utf8_valid(text, size))
        return error_set(err, ERR_BAD_REQUEST, "the body is not valid UTF-8");
    if (scan_text(text, size, err) < 0)
        return -1;
    value = cJSON_ParseWithLengthOpts(text, size, &end, 0);
    if (!value) /* `end` is where it stopped, give or take a character */
        return error_set(err, ERR_BAD_REQUEST, "the body is not valid JSON near byte %zu of %zu",
                         end ? (size_t)(end - text) + 1 : 1, size);
    while (end < text + size && strchr(" \t\r\n", *end))
        end++;
    if (end != text + size)
        return error_set(err, ERR_BAD_REQUEST, "the body holds more than one JSON value");
    if (refuse_duplicates(value, err) < 0)
        return -1;
    *ret_value = TAKE_PTR(value);
    return 0;
}

static int check_range(const struct json_field *field, const char *name, int64_t value,
                       const char *unit, struct error *err)
{
    if (value >= field->min && value <= field->max)
        return 0;
    return error_set_field(err, ERR_INVALID_FIELD, name, "'%s' must have %lld to %lld%s", name,
                           (long long)field->min, (long long)field->max, unit);
}

static int wrong_type(const char *name, const char *wanted, struct error *err)
{
    return error_set_field(err, ERR_INVALID_FIELD, name, "'%s' must be %s", name, wanted);
}

static int decode_integer(const cJSON *value, const struct json_field *field, const char *name,
                          void *member, struct error *err)
{
    double number;
    int64_t integer;

    if (!cJSON_IsNumber(value))
        return wrong_type(name, "an integer", err);
    number = value->valuedouble;
    if (!isfinite(number) || trunc(number) != number)
        return wrong_type(name, "an integer", err);
    /* Beyond 2^53 either way it is out of any range that a field may declare. */
    integer = fabs(number) < JSON_INTEGER_MAX ? (int64_t)number : INT64_MAX;
    if (integer < field->min || integer > field->max)
        return error_set_field(err, ERR_INVALID_FIELD, name, "'%s' must be %lld to %lld", name,
                               (long long)field->min, (long long)field->max);
    memcpy(member, &integer, sizeof(integer));
    return 0;
}

static int decode_number(const cJSON *value, const struct json_field *field, const char *name,
                         void *member, struct error *err)
{
    double number;

    if (!cJSON_IsNumber(value) || !isfinite(value->valuedouble))
        return wrong_type(name, "a number", err);
    number = value->valuedouble;
    if (number < (double)field->min || number > (double)field->max)
        return error_set_field(err, ERR_INVALID_FIELD, name, "'%s' must be %lld to %lld", name,
                               (long long)field->min, (long long)field->max);
    memcpy(member, &number, sizeof(number));
    return 0;
}

/* `word` is one of "a|b|c". */
static bool is_choice(const char *word, const char *choices)
{
    size_t length = strlen(word);

    for (const char *choice = choices; choice; choice = strchr(choice, '|')) {
        choice += *choice == '|';
        if (strcspn(choice, "|") == length && memcmp(choice, word, length) == 0)
            return length > 0;
    }
    return false;
}

static int decode_string(const cJSON *value, const struct json_field *field, const char *name,
                         void *member, struct error *err)
{
    const char *text = cJSON_GetStringValue(value);

    if (!text)
        return wrong_type(name, "a string", err);
    if (field->choices && !is_choice(text, field->choices))
        return error_set_field(err, ERR_INVALID_FIELD, name, "'%s' must be one of %s", name,
                               field->choices);
    if (!field->choices &&
        check_range(field, name, (int64_t)utf8_length(text), " characters", err) < 0)
        return -1;
    memcpy(member, &text, sizeof(text));
    return 0;
}

static int decode_id(const cJSON *value, const char *name, void *member, struct error *err)
{
    const char *text = cJSON_GetStringValue(value);
    struct id id;

    if (!text || !id_parse(text, &id))
        return wrong_type(name, "an id of 32 hex digits", err);
    memcpy(member, &id, sizeof(id));
    return 0;
}

static int decode_time(const cJSON *value, const char *name, void *member, struct error *err)
{
    const char *text = cJSON_GetStringValue(value);
    int64_t usec;

    if (!text || !time_parse(text, &usec))
        return wrong_type(name, "a time as in RFC 3339, e.g. 2030-01-02T03:04:05Z", err);
    memcpy(member, &usec, sizeof(usec));
    return 0;
}

static int decode_bool(const cJSON *value, const char *name, void *member, struct error *err)
{
    bool truth = cJSON_IsTrue(value);

    if (!cJSON_IsBool(value))
        return wrong_type(name, "true or false", err);
    memcpy(member, &truth, sizeof(truth));
    return 0;
}

/* Every entry of the array, or member of the object, is a string. */
static int check_strings(const cJSON *value, const char *name, struct error *err)
{
    char field[ERROR_FIELD_MAX + 24];
    const cJSON *entry;
    size_t index = 0;

    cJSON_ArrayForEach(entry, value)
    {
        if (cJSON_IsString(entry)) {
            index++;
            continue;
        }
        if (entry->string)
            (void)snprintf(field, sizeof(field), "%s.%s", name, entry->string);
        else
            (void)snprintf(field, sizeof(field), "%s[%zu]", name, index);
        return wrong_type(field, "a string", err);
    }
    return 0;
}

static int decode_container(const cJSON *value, const struct json_field *field, const char *name,
                            void *member, struct error *err)
{
    bool object = field->type == JSON_TYPE_OBJECT || field->type == JSON_TYPE_MAP;
    bool strings = field->type == JSON_TYPE_STRINGS || field->type == JSON_TYPE_MAP;

    if (object ? !cJSON_IsObject(value) : !cJSON_IsArray(value))
        return wrong_type(name, object ? "an object" : "an array", err);
    if (check_range(field, name, cJSON_GetArraySize(value), object ? " members" : " entries", err))
        return -1;
    if (strings && check_strings(value, name, err) < 0)
        return -1;
    memcpy(member, &value, sizeof(value));
    return 0;
}

static int decode_field(const cJSON *value, const struct json_field *field, const char *name,
                        void *member, struct error *err)
{
    switch (field->type) {
    case JSON_TYPE_STRING:
        return decode_string(value, field, name, member, err);
    case JSON_TYPE_BOOL:
        return decode_bool(value, name, member, err);
    case JSON_TYPE_INTEGER:
        return decode_integer(value, field, name, member, err);
    case JSON_TYPE_NUMBER:
        return decode_number(value, field, name, member, err);
    case JSON_TYPE_ID:
        return decode_id(value, name, member, err);
    case JSON_TYPE_TIME:
        return decode_time(value, name, member, err);
    case JSON_TYPE_RECORD:
        return json_decode(value, field->of->fields, field->of->count, name, member, err);
    case JSON_TYPE_OBJECT:
    case JSON_TYPE_ARRAY:
    case JSON_TYPE_STRINGS:
    case JSON_TYPE_MAP:
        return decode_container(value, field, name, member, err);
    case JSON_TYPE_ANY:
        memcpy(member, &value, sizeof(value));
        return 0;
    }
    return error_set(err, ERR_INTERNAL, "field '%s' has no type", name);
}

static const struct json_field *find_field(const struct json_field *fields, size_t count,
                                           const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(fields[i].name, name) == 0)
            return &fields[i];
    }
    return NULL;
}

int json_refuse_unknown(const struct json_table *table, const char *kind, const char *field,
                        const char *name, struct error *err)
{
    char known[ERROR_MESSAGE_MAX] = "";
    size_t used = 0;

    for (size_t i = 0; i < table->count && used < sizeof(known); i++)
        used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s", i > 0 ? ", " : "",
                                 table->fields[i].name);
    return error_set_field(err, ERR_UNKNOWN_FIELD, field, "there is no %s '%s'%s%s", kind, name,
                           used > 0 ? ", only " : "", known);
}

int json_decode(const cJSON *object, const struct json_field *fields, size_t count,
                const char *where, void *target, struct error *err)
{
    const char *dot = where[0] ? "." : "";
    char name[ERROR_FIELD_MAX];
    const cJSON *member;

    if (!cJSON_IsObject(object))
        return wrong_type(where[0] ? where : "body", "an object", err);
    cJSON_ArrayForEach(member, object)
    {
        const struct json_field *field = find_field(fields, count, member->string);

        (void)snprintf(name, sizeof(name), "%s%s%s", where, dot, member->string);
        if (!field)
            return json_refuse_unknown(&(struct json_table){.fields = fields, .count = count},
                                       "field", name, name, err);
        if (cJSON_IsNull(member) && !field->required)
            continue; /* null says "not given" */
        if (decode_field(member, field, name, (char *)target + field->offset, err) < 0)
            return -1;
    }
    for (size_t i = 0; i < count; i++) {
        if (!fields[i].required || cJSON_GetObjectItemCaseSensitive(object, fields[i].name))
            continue;
        (void)snprintf(name, sizeof(name), "%s%s%s", where, dot, fields[i].name);
        return error_set_field(err, ERR_MISSING_FIELD, name, "the field '%s' is required", name);
    }
    return 0;
}
