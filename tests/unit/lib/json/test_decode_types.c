/* Numbers, ids, times, words, records and containers, one field of each type. */
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

struct target {
    double share;
    struct id id;
    int64_t at_usec;
    const char *word;
    const char *text;
    struct inner inner;
    const cJSON *names;
    const cJSON *labels;
    const cJSON *any;
};

#define MEMBER(name_, type_)                                                                       \
    .name = #name_, .type = (type_), .offset = offsetof(struct target, name_)

static const struct json_field inner_fields[] = {
    {.name = "count",
     .type = JSON_TYPE_INTEGER,
     .required = true,
     .max = 9,
     .offset = offsetof(struct inner, count)},
};
static const struct json_table inner_table = JSON_TABLE("Inner", inner_fields);

static const struct json_field fields[] = {
    {MEMBER(share, JSON_TYPE_NUMBER), .min = -1, .max = 1},
    {MEMBER(id, JSON_TYPE_ID)},
    {MEMBER(at_usec, JSON_TYPE_TIME)},
    {MEMBER(word, JSON_TYPE_STRING), .choices = "red|green"},
    {MEMBER(text, JSON_TYPE_STRING), .min = 1, .max = 3},
    {MEMBER(inner, JSON_TYPE_RECORD), .of = &inner_table},
    {MEMBER(names, JSON_TYPE_STRINGS), .max = 2},
    {MEMBER(labels, JSON_TYPE_MAP), .max = 2},
    {MEMBER(any, JSON_TYPE_ANY)},
};

static int decode(const char *text, cJSON **ret_value, struct target *target, struct error *err)
{
    if (json_parse(text, strlen(text), ret_value, err) < 0)
        return -1;
    return json_decode(*ret_value, fields, ARRAY_SIZE(fields), "", target, err);
}

static void test_every_type_is_taken(void **state)
{
    static const char text[] =
        "{\"share\":-0.25,\"id\":\"0190F0C2-a1b0-7c3d-8e4f-5a6b7c8d9e0f\","
        "\"at_usec\":\"1970-01-01T00:00:00.5Z\",\"word\":\"green\",\"text\":"
        "\"\xc3\xa4\xc3\xb6\xc3\xbc\","
        "\"inner\":{\"count\":9},\"names\":[\"a\",\"\"],\"labels\":{\"k\":\"v\"},\"any\":[{}]}";
    _cleanup_cjson_ cJSON *value = NULL;
    struct target target = {0};
    struct error err = {0};

    (void)state;
    if (decode(text, &value, &target, &err) < 0)
        fail_msg("%s", err.message);
    assert_true(target.share == -0.25);
    assert_int_equal(target.id.bytes[0], 0x01);
    assert_int_equal(target.id.bytes[15], 0x0f);
    assert_int_equal(target.at_usec, 500000);
    assert_string_equal(target.word, "green");
    assert_int_equal(strlen(target.text), 6); /* three characters */
    assert_int_equal(target.inner.count, 9);
    assert_int_equal(cJSON_GetArraySize(target.names), 2);
    assert_int_equal(cJSON_GetArraySize(target.labels), 1);
    assert_true(cJSON_IsArray(target.any));
}

static void test_refusals_name_the_field(void **state)
{
    static const struct {
        const char *text;
        const char *field;
    } cases[] = {
        {"{\"share\":1.01}", "share"},
        {"{\"share\":-1e300}", "share"},
        {"{\"share\":1e999}", "share"},
        {"{\"share\":\"1\"}", "share"},
        {"{\"id\":\"0190f0c2a1b07c3d8e4f5a6b7c8d9e0\"}", "id"},
        {"{\"id\":\"0190f0c2a1b07c3d8e4f5a6b7c8d9e0g\"}", "id"},
        {"{\"id\":7}", "id"},
        {"{\"at_usec\":\"today\"}", "at_usec"},
        {"{\"at_usec\":0}", "at_usec"},
        {"{\"word\":\"blue\"}", "word"},
        {"{\"word\":\"\"}", "word"},
        {"{\"word\":\"re\"}", "word"},
        {"{\"word\":\"red|green\"}", "word"},
        {"{\"word\":\"reds\"}", "word"},
        {"{\"text\":\"\"}", "text"},
        {"{\"text\":\"abcd\"}", "text"},
        {"{\"text\":\"\xf0\x9f\x8c\x8a\xf0\x9f\x8c\x8a\xf0\x9f\x8c\x8a\xf0\x9f\x8c\x8a\"}", "text"},
        {"{\"inner\":7}", "inner"},
        {"{\"inner\":{}}", "inner.count"},
        {"{\"inner\":{\"count\":10}}", "inner.count"},
        {"{\"inner\":{\"count\":1,\"more\":1}}", "inner.more"},
        {"{\"names\":[\"a\",1]}", "names[1]"},
        {"{\"names\":[\"a\",\"b\",\"c\"]}", "names"},
        {"{\"labels\":{\"k\":null}}", "labels.k"},
        {"{\"labels\":[]}", "labels"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        _cleanup_cjson_ cJSON *value = NULL;
        struct target target = {0};
        struct error err = {0};

        if (decode(cases[i].text, &value, &target, &err) == 0)
            fail_msg("%s is taken", cases[i].text);
        assert_string_equal(err.field, cases[i].field);
    }
}

static void test_null_is_not_given(void **state)
{
    static const char text[] = "{\"share\":null,\"id\":null,\"at_usec\":null,\"word\":null,"
                               "\"inner\":null,\"names\":null,\"labels\":null,\"any\":null}";
    _cleanup_cjson_ cJSON *value = NULL;
    struct target target = {.share = 3, .at_usec = 4, .word = "w"};

    (void)state;
    assert_int_equal(decode(text, &value, &target, NULL), 0);
    assert_true(target.share == 3);
    assert_int_equal(target.at_usec, 4);
    assert_string_equal(target.word, "w");
    assert_null(target.any);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_type_is_taken),
        cmocka_unit_test(test_refusals_name_the_field),
        cmocka_unit_test(test_null_is_not_given),
    };

    return cmocka_run_group_tests_name("lib/json/decode types", tests, NULL, NULL);
}
