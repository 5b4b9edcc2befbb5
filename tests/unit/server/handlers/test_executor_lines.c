#include "server/handlers/executor_lines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { KEPT = 1024, WAITING = 16 * 1024 };

static struct executor_lines *lines;
static struct json_text text;

static int setup(void **state)
{
    const struct executor_lines_options options = {
        .event = "output", .kept = KEPT, .waiting = WAITING};

    (void)state;
    text = (struct json_text){.data = NULL};
    return executor_lines_new(&options, &lines, NULL);
}

static int teardown(void **state)
{
    (void)state;
    executor_lines_free(lines);
    json_text_free(&text);
    return 0;
}

static void add(enum executor_side side, const char *bytes)
{
    executor_lines_add(lines, side, 0, bytes, strlen(bytes), &text);
}

/* `count` bytes without an end of line. */
static void add_many(enum executor_side side, size_t count)
{
    char *bytes = malloc(count);

    assert_non_null(bytes);
    memset(bytes, 'x', count);
    executor_lines_add(lines, side, 0, bytes, count, &text);
    free(bytes);
}

static void assert_text(const char *expected)
{
    assert_false(text.failed);
    assert_string_equal(text.data ? text.data : "", expected);
    text.size = 0;
    if (text.data)
        text.data[0] = '\0';
}

#define OUT(line) "event: output\ndata: {\"stream\":\"stdout\",\"data\":\"" line "\"}\n\n"
#define ERR(line) "event: output\ndata: {\"stream\":\"stderr\",\"data\":\"" line "\"}\n\n"

/* How many events there are, and how many bytes of x in all of them. */
static void assert_events(size_t events, size_t bytes)
{
    size_t ends = 0, xs = 0;

    for (size_t i = 0; i < text.size; i++) {
        xs += text.data[i] == 'x';
        ends += i > 0 && text.data[i] == '\n' && text.data[i - 1] == '\n';
    }
    assert_int_equal(ends, events);
    assert_int_equal(xs, bytes);
    text.size = 0;
}

static void test_a_line_is_an_event(void **state)
{
    (void)state;
    add(EXECUTOR_STDOUT, "one\n\ntwo\nth");
    assert_text(OUT("one") OUT("") OUT("two"));
    add(EXECUTOR_STDERR, "other\n");
    assert_text(ERR("other"));
    add(EXECUTOR_STDOUT, "ree\r\n");
    assert_text(OUT("three"));
    executor_lines_end(lines, &text);
    assert_text("");
}

static void test_what_has_no_end_comes_at_the_end(void **state)
{
    (void)state;
    add(EXECUTOR_STDERR, "e");
    add(EXECUTOR_STDOUT, "o\r");
    assert_text("");
    executor_lines_end(lines, &text);
    assert_text(OUT("o") ERR("e"));
}

static void test_a_long_line_goes_out_in_one_event(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++)
        add_many(EXECUTOR_STDOUT, KEPT / 4);
    assert_true(text.size > KEPT); /* it has begun */
    add(EXECUTOR_STDERR, "waits\n");
    add(EXECUTOR_STDOUT, "\nafter\n");
    assert_non_null(strstr(text.data, "x\"}\n\n" OUT("after") ERR("waits")));
    assert_events(3, 20 * (size_t)(KEPT / 4));
}

static void test_what_waits_too_long_cuts_the_line(void **state)
{
    (void)state;
    add_many(EXECUTOR_STDOUT, KEPT + 1);
    for (size_t i = 0; i <= WAITING; i += KEPT)
        add_many(EXECUTOR_STDERR, KEPT);
    add(EXECUTOR_STDERR, "\n");
    add(EXECUTOR_STDOUT, "y\n");
    executor_lines_end(lines, &text);
    assert_non_null(strstr(text.data, OUT("y")));
    assert_events(3, KEPT + 1 + WAITING + KEPT);
}

enum { MEMORY = 128 * 1024 };

/* Memory of which there is so much. */
static bool take_some(void *user, size_t size)
{
    size_t *taken = user;

    if (*taken + size > MEMORY)
        return false;
    *taken += size;
    return true;
}

static void give_some(void *user, size_t size)
{
    *(size_t *)user -= size;
}

static void test_memory_of_what_waits_is_asked_for(void **state)
{
    size_t taken = 0;
    const struct executor_lines_options options = {.event = "output",
                                                   .kept = KEPT,
                                                   .waiting = 4 * (size_t)MEMORY,
                                                   .take_memory = take_some,
                                                   .give_memory = give_some,
                                                   .memory_user = &taken};

    executor_lines_free(lines);
    assert_int_equal(executor_lines_new(&options, &lines, NULL), 0);
    (void)state;
    add_many(EXECUTOR_STDOUT, KEPT + 1);
    add_many(EXECUTOR_STDERR, KEPT);
    assert_int_equal(taken, 0);
    add_many(EXECUTOR_STDERR, MEMORY / 2);
    assert_true(taken > 0);
    add(EXECUTOR_STDOUT, "\n"); /* what has waited goes out */
    add(EXECUTOR_STDERR, "\n");
    assert_int_equal(taken, 0);
    assert_events(2, 2 * KEPT + 1 + MEMORY / 2);
    add_many(EXECUTOR_STDOUT, KEPT + 1);
    add_many(EXECUTOR_STDERR, MEMORY + KEPT + 1); /* more than there is: the line is cut */
    add(EXECUTOR_STDERR, "\n");
    assert_int_equal(taken, 0);
    assert_events(2, 2 * KEPT + 2 + MEMORY);
    add_many(EXECUTOR_STDOUT, KEPT + 1);
    add_many(EXECUTOR_STDERR, MEMORY);
    assert_true(taken > 0);
    executor_lines_free(lines);
    lines = NULL;
    assert_int_equal(taken, 0);
}

static void test_both_streams_end_inside_lines(void **state)
{
    (void)state;
    add_many(EXECUTOR_STDERR, KEPT + 1);
    add(EXECUTOR_STDOUT, "out");
    executor_lines_end(lines, &text);
    assert_non_null(strstr(text.data, "x\"}\n\n" OUT("out")));
    assert_events(2, KEPT + 1);
}

static void test_a_character_is_not_cut(void **state)
{
    (void)state;
    add_many(EXECUTOR_STDOUT, KEPT + 1);
    add(EXECUTOR_STDOUT, "\xe2\x82");
    add(EXECUTOR_STDOUT, "\xac\r");
    add(EXECUTOR_STDOUT, "\r\n");
    assert_non_null(strstr(text.data, "x\xe2\x82\xac\"}\n\n"));
    assert_events(1, KEPT + 1);
}

static void test_a_carriage_return_inside_a_line_stays(void **state)
{
    (void)state;
    add(EXECUTOR_STDOUT, "10%\r20%\r");
    add(EXECUTOR_STDOUT, "\n");
    assert_text(OUT("10%\\r20%"));
}

static void test_carriage_returns_alone_do_not_pile_up(void **state)
{
    (void)state;
    for (size_t i = 0; i < KEPT; i++)
        add(EXECUTOR_STDOUT, "\r\r");
    assert_true(text.size > KEPT);
    executor_lines_end(lines, &text);
    assert_events(1, 0);
}

static void test_a_time_is_that_of_the_lines_begin(void **state)
{
    const struct executor_lines_options options = {
        .event = "log", .has_time = true, .kept = KEPT, .waiting = WAITING};
    struct executor_lines *logs;

    (void)state;
    assert_int_equal(executor_lines_new(&options, &logs, NULL), 0);
    executor_lines_add(logs, EXECUTOR_STDOUT, 1000000, "a", 1, &text);
    executor_lines_add(logs, EXECUTOR_STDOUT, 2000000, "b\nc", 3, &text);
    executor_lines_add(logs, EXECUTOR_STDOUT, 3000000, "\n", 1, &text);
    executor_lines_free(logs);
    assert_text("event: log\ndata: {\"timestamp\":\"1970-01-01T00:00:01.000000Z\","
                "\"stream\":\"stdout\",\"data\":\"ab\"}\n\n"
                "event: log\ndata: {\"timestamp\":\"1970-01-01T00:00:02.000000Z\","
                "\"stream\":\"stdout\",\"data\":\"c\"}\n\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_line_is_an_event, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_has_no_end_comes_at_the_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_long_line_goes_out_in_one_event, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_waits_too_long_cuts_the_line, setup, teardown),
        cmocka_unit_test_setup_teardown(test_memory_of_what_waits_is_asked_for, setup, teardown),
        cmocka_unit_test_setup_teardown(test_both_streams_end_inside_lines, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_character_is_not_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_carriage_return_inside_a_line_stays, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_carriage_returns_alone_do_not_pile_up, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_time_is_that_of_the_lines_begin, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
