/* json_write: what it writes is what json_encode makes, whatever the strings and numbers. */
#include "lib/json/json.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct inner {
    int64_t number;
};

static const struct json_field inner_fields[] = {
    {.name = "number",
     .type = JSON_TYPE_INTEGER,
     .required = true,
     .offset = offsetof(struct inner, number)},
};
static const struct json_table inner_table = JSON_TABLE("Inner", inner_fields);

struct outer {
    const char *text;
    int64_t integer;
    double real;
    bool yes;
    struct id id;
    int64_t time;
    struct inner inner;
    const char *map;
    const char *left_out;
};

static const struct json_field outer_fields[] = {
    {.name = "text", .type = JSON_TYPE_STRING, .offset = offsetof(struct outer, text)},
    {.name = "integer", .type = JSON_TYPE_INTEGER, .offset = offsetof(struct outer, integer)},
    {.name = "real", .type = JSON_TYPE_NUMBER, .offset = offsetof(struct outer, real)},
    {.name = "yes", .type = JSON_TYPE_BOOL, .offset = offsetof(struct outer, yes)},
    {.name = "id", .type = JSON_TYPE_ID, .offset = offsetof(struct outer, id)},
    {.name = "time", .type = JSON_TYPE_TIME, .offset = offsetof(struct outer, time)},
    {.name = "inner",
     .type = JSON_TYPE_RECORD,
     .of = &inner_table,
     .offset = offsetof(struct outer, inner)},
    {.name = "map", .type = JSON_TYPE_MAP, .offset = offsetof(struct outer, map)},
    {.name = "left_out",
     .type = JSON_TYPE_STRING,
     .omitted = true,
     .offset = offsetof(struct outer, left_out)},
};
static const struct json_table outer_table = JSON_TABLE("Outer", outer_fields);

static void assert_written(const struct outer *outer, const char *expected)
{
    _cleanup_json_text_ struct json_text text = {.data = NULL};

    json_write(&text, &outer_table, outer);
    assert_false(text.failed);
    assert_string_equal(text.data, expected);
    assert_int_equal(text.size, strlen(expected));
}

static void writes_every_type(__attribute__((unused)) void **state)
{
    const struct outer outer = {
        .text = "a",
        .integer = -7,
        .real = 0.5,
        .yes = true,
        .id = {.bytes = {[15] = 1}},
        .time = INT64_C(1767323045678901),
        .inner = {.number = 3},
        .map = "{\"k\": \"v\"}",
        .left_out = "here",
    };

    assert_written(&outer, "{\"text\":\"a\",\"integer\":-7,\"real\":0.5,\"yes\":true,"
                           "\"id\":\"00000000000000000000000000000001\","
                           "\"time\":\"2026-01-02T03:04:05.678901Z\",\"inner\":{\"number\":3},"
                           "\"map\":{\"k\": \"v\"},\"left_out\":\"here\"}");
}

static void shows_null_or_leaves_out(__attribute__((unused)) void **state)
{
    const struct outer outer = {.integer = JSON_NULL_INTEGER, .real = NAN};

    assert_written(&outer, "{\"text\":null,\"integer\":null,\"real\":null,\"yes\":false,"
                           "\"id\":null,\"time\":null,\"inner\":{\"number\":0},\"map\":null}");
}

/* Every byte in every neighbourhood reads back as it was. */
static void strings_read_back(__attribute__((unused)) void **state)
{
    for (int c = 1; c < 0x80; c++) {
        const char string[] = {(char)c, 'x', (char)c, (char)c, '"', '\\', 'y', (char)c, '\0'};
        const struct outer outer = {.text = string};
        _cleanup_json_text_ struct json_text text = {.data = NULL};
        _cleanup_cjson_ cJSON *value = NULL;

        json_write(&text, &outer_table, &outer);
        assert_int_equal(json_parse(text.data, text.size, &value, NULL), 0);
        assert_string_equal(cJSON_GetObjectItem(value, "text")->valuestring, string);
    }
}

static void utf8_stays(__attribute__((unused)) void **state)
{
    const struct outer outer = {.text = "\u00e9\u20ac\U0001f600\x7f", .map = "[]"};
    _cleanup_json_text_ struct json_text text = {.data = NULL};

    json_write(&text, &outer_table, &outer);
    assert_non_null(strstr(text.data, "{\"text\":\"\u00e9\u20ac\U0001f600\x7f\","));
}

static void numbers_read_back(__attribute__((unused)) void **state)
{
    static const double reals[] = {0, -0.25, 0.1, 1.5, 1e15, 123456789012345680.0, 1.0 / 3, 1e300};
    static const int64_t integers[] = {0, -1, INT64_MAX, INT64_MIN + 1, 9007199254740993};

    for (size_t i = 0; i < sizeof(reals) / sizeof(reals[0]); i++) {
        const struct outer outer = {.real = reals[i]};
        _cleanup_json_text_ struct json_text text = {.data = NULL};
        _cleanup_cjson_ cJSON *value = NULL;

        json_write(&text, &outer_table, &outer);
        assert_int_equal(json_parse(text.data, text.size, &value, NULL), 0);
        assert_true(cJSON_GetObjectItem(value, "real")->valuedouble == reals[i]);
    }
    for (size_t i = 0; i < sizeof(integers) / sizeof(integers[0]); i++) {
        const struct inner inner = {.number = integers[i]};
        _cleanup_json_text_ struct json_text text = {.data = NULL};

        json_write(&text, &inner_table, &inner);
        assert_int_equal(strtoll(text.data + strlen("{\"number\":"), NULL, 10), integers[i]);
    }
}

static void grows_with_its_text(__attribute__((unused)) void **state)
{
    _cleanup_json_text_ struct json_text text = {.data = NULL};
    char large[5000];
    struct outer outer = {.text = large};

    memset(large, 'z', sizeof(large));
    large[sizeof(large) - 1] = '\0';
    json_write(&text, &outer_table, &outer);
    assert_false(text.failed);
    assert_memory_equal(text.data + strlen("{\"text\":\""), large, sizeof(large) - 1);
    assert_int_equal(text.data[text.size - 1], '}');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_every_type), cmocka_unit_test(shows_null_or_leaves_out),
        cmocka_unit_test(strings_read_back), cmocka_unit_test(utf8_stays),
        cmocka_unit_test(numbers_read_back), cmocka_unit_test(grows_with_its_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
