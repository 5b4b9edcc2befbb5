/*
 * Request bodies: whatever comes is refused, or every value is of its type and within its range,
 * and an answer that is made of it parses again.
 */
#include "lib/base/time.h"
#include "lib/base/util.h"
#include "lib/json/json.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct inner {
    int64_t count;
    const char *text;
};

struct target {
    const char *text;
    const char *word;
    int64_t whole;
    double number;
    bool flag;
    struct id id;
    int64_t at_usec;
    struct inner inner;
    cJSON *object;
    cJSON *array;
    cJSON *names;
    cJSON *labels;
    cJSON *any;
};

#define MEMBER(name_, type_)                                                                       \
    .name = #name_, .type = (type_), .offset = offsetof(struct target, name_)

enum { TEXT_MAX = 8, COUNT_MAX = 3 };

static const struct json_field inner_fields[] = {
    {.name = "count",
     .type = JSON_TYPE_INTEGER,
     .required = true,
     .min = -COUNT_MAX,
     .max = COUNT_MAX,
     .offset = offsetof(struct inner, count)},
    {.name = "text",
     .type = JSON_TYPE_STRING,
     .max = TEXT_MAX,
     .offset = offsetof(struct inner, text)},
};
static const struct json_table inner_table = JSON_TABLE("Inner", inner_fields);

static const struct json_field fields[] = {
    {MEMBER(text, JSON_TYPE_STRING), .min = 1, .max = TEXT_MAX},
    {MEMBER(word, JSON_TYPE_STRING), .choices = "red|green"},
    {MEMBER(whole, JSON_TYPE_INTEGER), .min = -COUNT_MAX, .max = COUNT_MAX},
    {MEMBER(number, JSON_TYPE_NUMBER), .min = -1, .max = 1},
    {MEMBER(flag, JSON_TYPE_BOOL)},
    {MEMBER(id, JSON_TYPE_ID)},
    {MEMBER(at_usec, JSON_TYPE_TIME)},
    {MEMBER(inner, JSON_TYPE_RECORD), .of = &inner_table},
    {MEMBER(object, JSON_TYPE_OBJECT), .max = COUNT_MAX},
    {MEMBER(array, JSON_TYPE_ARRAY), .max = COUNT_MAX},
    {MEMBER(names, JSON_TYPE_STRINGS), .max = COUNT_MAX},
    {MEMBER(labels, JSON_TYPE_MAP), .max = COUNT_MAX},
    {MEMBER(any, JSON_TYPE_ANY)},
};
static const struct json_table table = JSON_TABLE("Target", fields);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void check_text(const char *text, size_t min)
{
    if (!text)
        return;
    check(utf8_valid(text, strlen(text)));
    check(utf8_length(text) >= min && utf8_length(text) <= TEXT_MAX);
}

static void check_strings(const cJSON *value)
{
    const cJSON *entry;

    check(!value || cJSON_GetArraySize(value) <= COUNT_MAX);
    cJSON_ArrayForEach(entry, value) check(cJSON_IsString(entry));
}

static void check_target(const struct target *target)
{
    char text[TIME_TEXT_SIZE];
    int64_t usec;

    check_text(target->text, 1);
    check_text(target->inner.text, 0);
    check(!target->word || strcmp(target->word, "red") == 0 || strcmp(target->word, "green") == 0);
    check(target->whole >= -COUNT_MAX && target->whole <= COUNT_MAX);
    check(target->inner.count >= -COUNT_MAX && target->inner.count <= COUNT_MAX);
    check(target->number >= -1 && target->number <= 1);
    check(!target->object || cJSON_IsObject(target->object));
    check(!target->array || cJSON_IsArray(target->array));
    check_strings(target->names);
    check_strings(target->labels);
    check(!target->any || !cJSON_IsNull(target->any));
    time_format(target->at_usec, text);
    if (target->at_usec >= 0) /* an offset may lead to before 1970, which is shown, not taken */
        check(!time_parse(text, &usec) || usec == target->at_usec);
}

/* The containers leave `target`: they belong to the request's value and are copied. */
static void check_answer(struct target *target)
{
    cJSON **const moved[] = {&target->object, &target->array, &target->names, &target->labels,
                             &target->any};
    _cleanup_cjson_ cJSON *answer = NULL;
    _cleanup_cjson_ cJSON *parsed = NULL;
    _cleanup_free_ char *text = NULL;

    for (size_t i = 0; i < ARRAY_SIZE(moved); i++)
        *moved[i] = *moved[i] ? cJSON_Duplicate(*moved[i], true) : NULL;
    answer = json_encode(&table, target);
    check(answer != NULL);
    text = cJSON_PrintUnformatted(answer);
    check(text != NULL);
    check(json_parse(text, strlen(text), &parsed, NULL) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_cjson_ cJSON *value = NULL;
    struct target target = {0};
    struct error err = {0};

    if (json_parse((const char *)data, size, &value, &err) < 0 ||
        json_decode(value, fields, ARRAY_SIZE(fields), "", &target, &err) < 0) {
        check(err.message[0] != '\0');
        return 0;
    }
    check_target(&target);
    check_answer(&target);
    return 0;
}
