#include "lib/base/util.h"
#include "lib/json/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct inner {
    int64_t count;
};

struct shown {
    struct id id;
    const char *name;
    int64_t size;
    double share;
    bool flag;
    int64_t at_usec;
    struct inner inner;
    cJSON *items;
    const char *extra;
};

#define MEMBER(name_, type_)                                                                       \
    .name = #name_, .type = (type_), .offset = offsetof(struct shown, name_)

static const struct json_field inner_fields[] = {
    {.name = "count",
     .type = JSON_TYPE_INTEGER,
     .required = true,
     .offset = offsetof(struct inner, count)},
};
static const struct json_table inner_table = JSON_TABLE("Inner", inner_fields);

#define FIELDS(required_)                                                                          \
    {MEMBER(id, JSON_TYPE_ID), .required = (required_)}, {MEMBER(name, JSON_TYPE_STRING)},         \
        {MEMBER(size, JSON_TYPE_INTEGER), .required = (required_)},                                \
        {MEMBER(share, JSON_TYPE_NUMBER)}, {MEMBER(flag, JSON_TYPE_BOOL)},                         \
        {MEMBER(at_usec, JSON_TYPE_TIME), .required = (required_)},                                \
        {MEMBER(inner, JSON_TYPE_RECORD), .of = &inner_table}, {MEMBER(items, JSON_TYPE_ARRAY)},   \
    {                                                                                              \
        MEMBER(extra, JSON_TYPE_STRING), .omitted = true                                           \
    }

static const struct json_field strict_fields[] = {FIELDS(true)};
static const struct json_table strict_table = JSON_TABLE("Strict", strict_fields);
static const struct json_field nullable_fields[] = {FIELDS(false)};
static const struct json_table nullable_table = JSON_TABLE("Nullable", nullable_fields);

static void assert_encodes(const struct json_table *table, struct shown *shown, const char *text)
{
    _cleanup_cjson_ cJSON *object = json_encode(table, shown);
    _cleanup_free_ char *printed = cJSON_PrintUnformatted(object);

    assert_non_null(printed);
    assert_string_equal(printed, text);
}

static void test_every_type_is_shown(void **state)
{
    struct shown shown = {
        .name = "x",
        .size = -3,
        .share = 0.5,
        .flag = true,
        .at_usec = 1,
        .inner = {7},
        .items = cJSON_CreateArray(),
        .extra = "y",
    };

    (void)state;
    shown.id.bytes[0] = 0xab;
    assert_encodes(&nullable_table, &shown,
                   "{\"id\":\"ab000000000000000000000000000000\",\"name\":\"x\",\"size\":-3,"
                   "\"share\":0.5,\"flag\":true,\"at_usec\":\"1970-01-01T00:00:00.000001Z\","
                   "\"inner\":{\"count\":7},\"items\":[],\"extra\":\"y\"}");
    assert_null(shown.items); /* moved */
}

static void test_nothing_is_null_where_it_may_be(void **state)
{
    struct shown shown = {.size = JSON_NULL_INTEGER};

    (void)state;
    assert_encodes(&nullable_table, &shown,
                   "{\"id\":null,\"name\":null,\"size\":null,\"share\":0,\"flag\":false,"
                   "\"at_usec\":null,\"inner\":{\"count\":0},\"items\":null}");
}

static void test_a_required_member_is_never_null(void **state)
{
    struct shown shown = {.name = "x"};

    (void)state;
    assert_encodes(&strict_table, &shown,
                   "{\"id\":\"00000000000000000000000000000000\",\"name\":\"x\",\"size\":0,"
                   "\"share\":0,\"flag\":false,\"at_usec\":\"1970-01-01T00:00:00.000000Z\","
                   "\"inner\":{\"count\":0},\"items\":null}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_type_is_shown),
        cmocka_unit_test(test_nothing_is_null_where_it_may_be),
        cmocka_unit_test(test_a_required_member_is_never_null),
    };

    return cmocka_run_group_tests_name("lib/json/encode", tests, NULL, NULL);
}
