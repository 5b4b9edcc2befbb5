#include "lib/base/util.h"
#include "lib/json/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct target {
    const char *name;
    int64_t size;
    bool flag;
    const cJSON *items;
};

static const struct json_field fields[] = {
    {.name = "name",
     .type = JSON_TYPE_STRING,
     .required = true,
     .min = 1,
     .max = 4,
     .offset = offsetof(struct target, name)},
    {.name = "size",
     .type = JSON_TYPE_INTEGER,
     .min = -5,
     .max = 1000,
     .offset = offsetof(struct target, size)},
    {.name = "flag", .type = JSON_TYPE_BOOL, .offset = offsetof(struct target, flag)},
    {.name = "items",
     .type = JSON_TYPE_ARRAY,
     .min = 0,
     .max = 2,
     .offset = offsetof(struct target, items)},
};

static int decode(const char *text, struct target *target, struct error *err)
{
    _cleanup_cjson_ cJSON *value = NULL;

    if (json_parse(text, strlen(text), &value, err) < 0)
        return -1;
    return json_decode(value, fields, ARRAY_SIZE(fields), "", target, err);
}

static void test_a_body_fills_its_struct(void **state)
{
    _cleanup_cjson_ cJSON *value = NULL;
    static const char text[] = " {\"name\":\"ab\",\"size\":-5,\"flag\":true,\"items\":[1,2]} \n";
    struct target target = {0};

    (void)state;
    assert_int_equal(json_parse(text, strlen(text), &value, NULL), 0);
    assert_int_equal(json_decode(value, fields, ARRAY_SIZE(fields), "", &target, NULL), 0);
    assert_string_equal(target.name, "ab");
    assert_int_equal(target.size, -5);
    assert_true(target.flag);
    assert_int_equal(cJSON_GetArraySize(target.items), 2);
}

static void test_absent_and_null_keep_the_default(void **state)
{
    struct target target = {.size = 77};

    (void)state;
    assert_int_equal(decode("{\"name\":\"a\",\"size\":null}", &target, NULL), 0);
    assert_int_equal(target.size, 77);
}

static void test_every_complaint_names_its_field(void **state)
{
    static const struct {
        const char *text;
        enum error_code code;
        const char *field;
    } cases[] = {
        {"{}", ERR_MISSING_FIELD, "name"},
        {"{\"name\":null}", ERR_INVALID_FIELD, "name"},
        {"{\"name\":1}", ERR_INVALID_FIELD, "name"},
        {"{\"name\":\"\"}", ERR_INVALID_FIELD, "name"},
        {"{\"name\":\"abcde\"}", ERR_INVALID_FIELD, "name"},
        {"{\"name\":\"a\",\"size\":\"1\"}", ERR_INVALID_FIELD, "size"},
        {"{\"name\":\"a\",\"size\":1.5}", ERR_INVALID_FIELD, "size"},
        {"{\"name\":\"a\",\"size\":1001}", ERR_INVALID_FIELD, "size"},
        {"{\"name\":\"a\",\"size\":1e300}", ERR_INVALID_FIELD, "size"},
        {"{\"name\":\"a\",\"size\":-9223372036854775809}", ERR_INVALID_FIELD, "size"},
        {"{\"name\":\"a\",\"flag\":1}", ERR_INVALID_FIELD, "flag"},
        {"{\"name\":\"a\",\"items\":{}}", ERR_INVALID_FIELD, "items"},
        {"{\"name\":\"a\",\"items\":[1,2,3]}", ERR_INVALID_FIELD, "items"},
        {"{\"name\":\"a\",\"Name\":\"a\"}", ERR_UNKNOWN_FIELD, "Name"},
        {"{\"name\":\"a\",\"name\":\"b\"}", ERR_BAD_REQUEST, "name"},
        {"{\"name\":\"a\\u0000\"}", ERR_INVALID_FIELD, "name"},
        {"{\"name\":\"a\\nb\\u0000\"}", ERR_INVALID_FIELD, "name"},
        {"{\"items\":[{\"x\":1},{\"y\":\"\\u0000\"}]}", ERR_INVALID_FIELD, "items.y"},
        {"{\"name\":\"a\nb\"}", ERR_INVALID_FIELD, "name"},
        {"[]", ERR_INVALID_FIELD, "body"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct target target = {0};
        struct error err;

        assert_int_equal(decode(cases[i].text, &target, &err), -1);
        assert_int_equal(err.code, cases[i].code);
        assert_string_equal(err.field, cases[i].field);
    }
}

static void test_what_is_not_one_json_value_is_refused(void **state)
{
    static const char *const bad[] = {
        "",   "{", "{}{}", "{} x", "\xff\"", "\"\xc0\xaf\"", "[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]",
        "nul"};
    _cleanup_cjson_ cJSON *value = NULL;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct error err;

        assert_int_equal(json_parse(bad[i], strlen(bad[i]), &value, &err), -1);
        assert_int_equal(err.code, ERR_BAD_REQUEST);
        assert_null(value);
    }
    assert_int_equal(json_parse("{}\0{}", 5, &value, NULL), -1);
}

/* What a caller can go by who wrote the body by hand. */
static void test_complaints_tell_what_to_do(void **state)
{
    static const struct {
        const char *text;
        const char *message;
    } cases[] = {
        {"{\"name\":\"a\",\"sise\":1}", "there is no field 'sise', only name, size, flag, items"},
        {"{\"name\":\"a\nb\"}",
         "'name' holds a bare control character: a line feed is written \\n"},
        {"{\"name\":\"a\" \"size\":1}", "the body is not valid JSON near byte 13 of 21"},
        {"{name:1}", "the body is not valid JSON near byte 3 of 8"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct target target = {0};
        struct error err;

        assert_int_equal(decode(cases[i].text, &target, &err), -1);
        assert_string_equal(err.message, cases[i].message);
    }
}

static void test_the_known_fields_are_told_as_far_as_there_is_room(void **state)
{
    struct json_field many[100];
    const struct json_table table = JSON_TABLE("Many", many);
    const struct json_table none = {.name = "None"};
    struct error err;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(many); i++)
        many[i] = (struct json_field){.name = "a_name_of_some_length"};
    assert_int_equal(json_refuse_unknown(&table, "field", "x", "x", &err), -1);
    assert_int_equal(strlen(err.message), ERROR_MESSAGE_MAX - 1);
    assert_int_equal(json_refuse_unknown(&none, "field", "x", "x", &err), -1);
    assert_string_equal(err.message, "there is no field 'x'");
}

static void test_brackets_in_strings_do_not_count_as_depth(void **state)
{
    _cleanup_cjson_ cJSON *value = NULL;
    static const char text[] = "\"[[[[[[[[[[[[[[[[[[[[[[\\\"[[[[[[[[\\\\\"";

    (void)state;
    assert_int_equal(json_parse(text, strlen(text), &value, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_body_fills_its_struct),
        cmocka_unit_test(test_absent_and_null_keep_the_default),
        cmocka_unit_test(test_every_complaint_names_its_field),
        cmocka_unit_test(test_what_is_not_one_json_value_is_refused),
        cmocka_unit_test(test_complaints_tell_what_to_do),
        cmocka_unit_test(test_the_known_fields_are_told_as_far_as_there_is_room),
        cmocka_unit_test(test_brackets_in_strings_do_not_count_as_depth),
    };

    return cmocka_run_group_tests_name("lib/json/json", tests, NULL, NULL);
}
