#include "server/handlers/project_container_lines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct project_container_lines *lines;
static struct json_text text;

static int setup(void **state)
{
    (void)state;
    text = (struct json_text){.data = NULL};
    lines = project_container_lines_new();
    return lines ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    project_container_lines_free(lines);
    json_text_free(&text);
    return 0;
}

static void add(enum project_container_side side, const char *bytes)
{
    project_container_lines_add(lines, side, bytes, strlen(bytes), &text);
}

static void assert_text(const char *expected)
{
    assert_false(text.failed);
    assert_string_equal(text.data ? text.data : "", expected);
    text.size = 0;
    if (text.data)
        text.data[0] = '\0';
}

#define OUT(line) "data: {\"type\":\"stdout\",\"data\":\"" line "\"}\n\n"
#define ERR(line) "data: {\"type\":\"stderr\",\"data\":\"" line "\"}\n\n"

static void test_a_line_is_an_event(void **state)
{
    (void)state;
    add(PROJECT_CONTAINER_STDOUT, "one\n\ntwo \"2\"\r\nth");
    assert_text(OUT("one") OUT("") OUT("two \\\"2\\\"\\r"));
    add(PROJECT_CONTAINER_STDOUT, "re");
    assert_text("");
    add(PROJECT_CONTAINER_STDOUT, "e\n");
    assert_text(OUT("three"));
    project_container_lines_end(lines, &text);
    assert_text("");
}

static void test_streams_do_not_meet_within_a_line(void **state)
{
    (void)state;
    add(PROJECT_CONTAINER_STDOUT, "out");
    add(PROJECT_CONTAINER_STDERR, "err\nmore");
    add(PROJECT_CONTAINER_STDOUT, "put\n");
    assert_text(ERR("err") OUT("output"));
    project_container_lines_end(lines, &text);
    assert_text(ERR("more"));
}

static void test_what_has_no_end_comes_at_the_end_once(void **state)
{
    (void)state;
    add(PROJECT_CONTAINER_STDOUT, "a\nb");
    project_container_lines_end(lines, &text);
    assert_text(OUT("a") OUT("b"));
    project_container_lines_end(lines, &text);
    assert_text("");
}

static void test_bytes_that_are_no_text_come_exactly_too(void **state)
{
    (void)state;
    add(PROJECT_CONTAINER_STDOUT, "a\377b\nplain\n");
    assert_text(OUT("a\\ufffdb\",\"data_base64\":\"Yf9i") OUT("plain"));
}

static void test_a_long_line_is_cut_between_characters(void **state)
{
    /* The euro sign has three bytes: the limit falls inside of the last but one. */
    const size_t signs = PROJECT_CONTAINER_LINE_MAX / 3 + 1;

    (void)state;
    for (size_t i = 1; i < signs; i++)
        add(PROJECT_CONTAINER_STDOUT, "\xe2\x82\xac");
    assert_text("");
    add(PROJECT_CONTAINER_STDOUT, "\xe2\x82");
    assert_int_equal(text.size, strlen(OUT("")) + 3 * (signs - 1));
    add(PROJECT_CONTAINER_STDOUT, "\xac\n");
    assert_int_equal(text.size, 2 * strlen(OUT("")) + 3 * signs);
    assert_null(strstr(text.data, "base64"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_line_is_an_event, setup, teardown),
        cmocka_unit_test_setup_teardown(test_streams_do_not_meet_within_a_line, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_has_no_end_comes_at_the_end_once, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_bytes_that_are_no_text_come_exactly_too, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_long_line_is_cut_between_characters, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
