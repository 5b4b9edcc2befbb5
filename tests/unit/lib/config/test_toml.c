#include "lib/base/util.h"
#include "lib/config/toml.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* What the last text held, one value a line: "table.key=type:value". */
struct record {
    char text[4096];
    size_t used;
};

static int record_value(const struct toml_value *value, void *userdata, struct error *err)
{
    static const char *const types[] = {"string", "integer", "bool"};
    struct record *record = userdata;
    size_t left = sizeof(record->text) - record->used;
    int written;

    if (strcmp(value->key, "refused") == 0)
        return error_set(err, ERR_INVALID_FIELD, "not wanted");
    written = value->type == TOML_STRING
                  ? snprintf(record->text + record->used, left, "%s.%s=string:%s;", value->table,
                             value->key, value->string)
                  : snprintf(record->text + record->used, left, "%s.%s=%s:%lld;", value->table,
                             value->key, types[value->type],
                             value->type == TOML_BOOL ? (long long)value->boolean
                                                      : (long long)value->integer);
    record->used += (size_t)written;
    return 0;
}

static void expect_values(const char *text, const char *expected)
{
    struct record record = {0};
    struct error err = {0};

    if (toml_parse("t", text, strlen(text), record_value, &record, &err) < 0)
        fail_msg("%s: %s", text, err.message);
    assert_string_equal(record.text, expected);
}

static void expect_error(const char *text, size_t size, const char *message)
{
    struct record record = {0};
    struct error err = {0};

    if (toml_parse("t", text, size, record_value, &record, &err) == 0)
        fail_msg("accepted: %s", text);
    if (!strstr(err.message, message))
        fail_msg("%s: the message is: %s", text, err.message);
}

static void test_accepts(void **state)
{
    static const struct {
        const char *text;
        const char *expected;
    } cases[] = {
        {"", ""},
        {"\n\n \t\n", ""},
        {"# only a comment", ""},
        {"a=1", ".a=integer:1;"},
        {"[t]\r\na = 1\r\n", "t.a=integer:1;"},
        {" [ t ] # comment\n  b-2_C\t=\ttrue# comment\n", "t.b-2_C=bool:1;"},
        {"a = false", ".a=bool:0;"},
        {"a = 1_000_000", ".a=integer:1000000;"},
        {"a = +7\nb = -0\nc = 0", ".a=integer:7;.b=integer:0;.c=integer:0;"},
        {"a = 9223372036854775807", ".a=integer:9223372036854775807;"},
        {"a = -9223372036854775808", ".a=integer:-9223372036854775808;"},
        {"a = \"\"\nb = ''", ".a=string:;.b=string:;"},
        {"a = \"x # y\" # z", ".a=string:x # y;"},
        {"a = 'C:\\n\"'", ".a=string:C:\\n\";"},
        {"a = \"\\b\\t\\n\\f\\r\\\"\\\\\"", ".a=string:\b\t\n\f\r\"\\;"},
        {"a = \"\\u00e9\\u20AC\\U0001F600A\"", ".a=string:\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"
                                               "A;"},
        {"[a]\nk=1\n[b]\nk=2", "a.k=integer:1;b.k=integer:2;"},
        {"[1]\n2=3", "1.2=integer:3;"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        expect_values(cases[i].text, cases[i].expected);
}

static void test_refuses_with_line(void **state)
{
    static const struct {
        const char *text;
        const char *message;
    } cases[] = {
        {"a", "t:1: expected = after the key a"},
        {"\n\na = ", "t:3: expected a \"string\", an integer, true or false"},
        {"= 1", "t:1: expected a key"},
        {"a = 1 b = 2", "t:1: unexpected text after the value"},
        {"a = \"x\" \"y\"", "unexpected text"},
        {"a = truely", "unexpected text"},
        {"a = True", "expected a \"string\""},
        {"a = [1]", "expected a \"string\""},
        {"a = {b = 1}", "expected a \"string\""},
        {"a = 1.5", "only decimal integers"},
        {"a = 1e5", "only decimal integers"},
        {"a = 0x10", "only decimal integers"},
        {"a = 2026-11-21", "only decimal integers"},
        {"a = 07:32:00", "does not start with 0"},
        {"a = 12:32:00", "only decimal integers"},
        {"a = 010", "does not start with 0"},
        {"a = -", "expected digits"},
        {"a = +-1", "expected digits"},
        {"a = inf", "expected a \"string\""},
        {"a = _1", "expected a \"string\""},
        {"a = 1__0", "underscore"},
        {"a = 1_", "underscore"},
        {"a = -_1", "underscore"},
        {"a = 9223372036854775808", "too large"},
        {"a = -9223372036854775809", "too large"},
        {"a = \"x", "does not end on its line"},
        {"a = \"x\\", "does not end on its line"},
        {"a = 'x\n'", "t:1: the string does not end on its line"},
        {"a = \"\"\"x\"\"\"", "multi-line"},
        {"a = '''x'''", "multi-line"},
        {"a = \"\\x\"", "unknown escape"},
        {"a = \"\\u12\"", "hex digits"},
        {"a = \"\\u0000\"", "no allowed character"},
        {"a = \"\\uD800\"", "no allowed character"},
        {"a = \"\\U00110000\"", "no allowed character"},
        {"a.b = 1", "dotted key"},
        {"\"a\" = 1", "quoted key"},
        {"[a.b]", "dotted table name"},
        {"['a']", "quoted table name"},
        {"[[a]]", "array of tables"},
        {"[a", "expected ]"},
        {"[]", "expected a table name"},
        {"[a] b = 1", "unexpected text after the table header"},
        {"[a]\n[b]\n[a]", "t:3: the table [a] is given twice"},
        {"a = 1\n[b]\na = 1\na = 2", "t:4: the key a is given twice"},
        {"a = 1 # \x01", "control character (0x01)"},
        {"a = \"\x7f\"", "control character (0x7f)"},
        {"a = 1\rb = 2", "control character (0x0d)"},
        {"a = 1\nb = \"\xff\"", "t:2: the line is not valid UTF-8"},
        {"# \xed\xa0\x80", "not valid UTF-8"},
        {"\xef\xbb\xbf"
         "a = 1",
         "expected a key"},
        {"ok = 1\nrefused = 1", "t:2: not wanted"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        expect_error(cases[i].text, strlen(cases[i].text), cases[i].message);
    expect_error("a = \"\0\"", 8, "control character (0x00)");
    expect_error("a = \"\\\0\"", 9, "control character (0x00)");
}

static void test_bounds(void **state)
{
    static char text[TOML_TEXT_MAX + 1];
    struct record record = {0};
    struct error err = {0};
    size_t used = 0;

    (void)state;
    memset(text, ' ', sizeof(text));
    assert_int_equal(toml_parse("t", text, TOML_TEXT_MAX, record_value, &record, &err), 0);
    expect_error(text, sizeof(text), "more than 65536 bytes");

    memset(text, 'k', TOML_NAME_MAX + 1);
    expect_error(text, sizeof(text) - 1, "more than 64 bytes");

    for (int i = 0; i <= TOML_VALUES_MAX; i++)
        used += (size_t)snprintf(text + used, sizeof(text) - used, "k%d=1\n", i);
    expect_error(text, used, "t:257: more than 256 values");

    used = 0;
    for (int i = 0; i <= TOML_TABLES_MAX; i++)
        used += (size_t)snprintf(text + used, sizeof(text) - used, "[t%d]\n", i);
    expect_error(text, used, "t:33: more than 32 tables");
}

/* A string of the largest size fits, escapes included. */
static void test_largest_string(void **state)
{
    static char text[TOML_TEXT_MAX];
    struct record record = {0};
    struct error err = {0};

    (void)state;
    memset(text, 'x', sizeof(text));
    memcpy(text, "refused='", 9);
    text[sizeof(text) - 1] = '\'';
    assert_int_equal(toml_parse("t", text, sizeof(text), record_value, &record, &err), -1);
    assert_string_equal(err.message, "t:1: not wanted");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepts),
        cmocka_unit_test(test_refuses_with_line),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_largest_string),
    };

    return cmocka_run_group_tests_name("toml", tests, NULL, NULL);
}
