#include "cli/format.h"
#include "cli/table.h"
#include "lib/base/util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_sizes(void **state)
{
    static const struct {
        int64_t mebibytes;
        const char *text;
    } cases[] = {{0, "0M"},      {512, "512M"}, {1023, "1023M"}, {1024, "1G"},
                 {1536, "1.5G"}, {4096, "4G"},  {1048576, "1T"}, {1572864, "1.5T"}};
    char text[FORMAT_SIZE];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        format_mebibytes(cases[i].mebibytes, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void test_cores(void **state)
{
    static const struct {
        int64_t milli;
        const char *text;
    } cases[] = {{0, "0"}, {1000, "1"}, {250, "0.25"}, {1500, "1.5"}, {10000, "10"}, {5, "0.005"}};
    char text[FORMAT_SIZE];
    int64_t milli;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        format_cores(cases[i].milli, text);
        assert_string_equal(text, cases[i].text);
        assert_true(parse_cores(text, &milli));
        assert_int_equal(milli, cases[i].milli);
    }
}

static void test_ages(void **state)
{
    static const struct {
        int64_t seconds;
        const char *text;
    } cases[] = {{0, "0s"},    {119, "119s"},   {120, "2m"},    {7199, "119m"},
                 {7200, "2h"}, {172799, "47h"}, {172800, "2d"}, {864000000, "10000d"}};
    char text[FORMAT_SIZE];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        format_age(cases[i].seconds, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void test_what_is_read(void **state)
{
    int64_t value;

    (void)state;
    assert_true(parse_mebibytes("4g", &value) && value == 4096);
    assert_true(parse_mebibytes("4GiB", &value) && value == 4096);
    assert_true(parse_mebibytes("512", &value) && value == 512);
    assert_true(parse_duration_ms("500ms", &value) && value == 500);
    assert_true(parse_duration_ms("30", &value) && value == 30000);
    assert_true(parse_duration_ms("2h", &value) && value == 7200000);
}

static void test_what_is_not_a_number_is_refused(void **state)
{
    static const char *const sizes[] = {"", "g", "-1", "1.5g", "4 g", "4k", "9999999999999", "4gg"};
    static const char *const cores[] = {"", ".5", "1.", "1.0001", "-1", "1,5", "1.5x", "x"};
    static const char *const times[] = {"", "s", "-1s", "1w", "1.5s"};
    int64_t value;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
        assert_false(parse_mebibytes(sizes[i], &value));
    for (size_t i = 0; i < ARRAY_SIZE(cores); i++)
        assert_false(parse_cores(cores[i], &value));
    for (size_t i = 0; i < ARRAY_SIZE(times); i++)
        assert_false(parse_duration_ms(times[i], &value));
}

/* What printing writes; the caller's. */
static char *printed(const char *json, const struct column *columns, size_t count)
{
    _cleanup_cjson_ cJSON *value = cJSON_Parse(json);
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(value);
    if (columns)
        table_print(out, value, columns, count, INT64_C(1000000000000000));
    else
        table_print_object(out, value);
    (void)fclose(out);
    return text;
}

static void test_a_table_is_aligned(void **state)
{
    static const struct column columns[] = {{"NAME", "name", COLUMN_TEXT},
                                            {"MEMORY", "resources.memory", COLUMN_SIZE},
                                            {"AGE", "at", COLUMN_AGE}};
    _cleanup_free_ char *text =
        printed("[{\"name\":\"a\",\"resources\":{\"memory\":512},\"at\":\"2001-09-09T01:46:10Z\"},"
                "{\"name\":\"\xc3\xa4\xc3\xb6\xc3\xbc-long\",\"at\":null}]",
                columns, ARRAY_SIZE(columns));

    (void)state;
    assert_string_equal(text, "NAME      MEMORY  AGE\n"
                              "a         512M    30s\n"
                              "\xc3\xa4\xc3\xb6\xc3\xbc-long  -       -\n");
}

static void test_a_terminal_gets_no_control_characters(void **state)
{
    static const struct column columns[] = {{"NAME", "name", COLUMN_TEXT}};
    _cleanup_free_ char *text =
        printed("[{\"name\":\"\\u001b[2J\\u009b1m\\n\\u007f\"}]", columns, 1);

    (void)state;
    assert_string_equal(text, "NAME\n?[2J?1m??\n");
}

static void test_an_object_is_lines(void **state)
{
    _cleanup_free_ char *text =
        printed("{\"id\":\"x\",\"n\":null,\"r\":{\"cpu\":0.5},\"l\":[1,2],\"b\":true}", NULL, 0);

    (void)state;
    assert_string_equal(text, "id                 x\n"
                              "n                  -\n"
                              "r.cpu              0.5\n"
                              "l                  [1,2]\n"
                              "b                  true\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_cores),
        cmocka_unit_test(test_ages),
        cmocka_unit_test(test_what_is_read),
        cmocka_unit_test(test_what_is_not_a_number_is_refused),
        cmocka_unit_test(test_a_table_is_aligned),
        cmocka_unit_test(test_a_terminal_gets_no_control_characters),
        cmocka_unit_test(test_an_object_is_lines),
    };

    return cmocka_run_group_tests_name("cli/format", tests, NULL, NULL);
}
