#include "lib/base/util.h"
#include "server/edge/chunked.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/*
 * Decodes `text` in pieces of `step` bytes. Returns the bytes taken up to the body's end, 0 when
 * it has not come, -1 when the body is refused.
 */
static ssize_t decode(const char *text, size_t size, size_t step, char *payload)
{
    struct edge_chunked decoder = {0};
    struct edge_span run;
    size_t at = 0;

    *payload = '\0';
    while (at < size) {
        size_t end = size - at < step ? size : at + step;

        while (at < end) {
            ssize_t taken = edge_chunked_feed(&decoder, text + at, end - at, &run, NULL);

            if (taken < 0)
                return -1;
            assert_true((size_t)taken <= end - at);
            strncat(payload, run.data, run.size);
            at += (size_t)taken;
            if (decoder.state == EDGE_CHUNKED_DONE)
                return (ssize_t)at;
            assert_true(taken > 0);
        }
    }
    return 0;
}

static void test_split_everywhere(void **state)
{
    static const char text[] = "5\r\nhello\r\n00A\r\n, world\r\n!\r\nb\r\n0123456789a\r\n0\r\n\r\n";
    static const char tail[] = "GET / HTTP/1.1\r\n";
    char both[128];
    char payload[128];

    (void)state;
    (void)snprintf(both, sizeof(both), "%s%s", text, tail);
    for (size_t step = 1; step <= strlen(both); step++) {
        assert_int_equal(decode(both, strlen(both), step, payload), strlen(text));
        assert_string_equal(payload, "hello, world\r\n!0123456789a");
    }
}

static void test_refused(void **state)
{
    static const char *const cases[] = {
        "\r\n",
        "g\r\n",
        " 5\r\nhello\r\n",
        "5 \r\nhello\r\n",
        "+5\r\nhello\r\n",
        "-1\r\n",
        "0x5\r\nhello\r\n",
        "5;a=b\r\nhello\r\n",
        "5;\r\nhello\r\n",
        "5\nhello\n",
        "5\rhello\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\r0\r\n\r\n",
        "5\r\nhellooo\r\n0\r\n\r\n",
        "000000005\r\nhello\r\n",
        "123456789\r\n",
        "0\r\nX: y\r\n\r\n",
        "0\r\n\n",
        "0\n\r\n",
        "0\r\n\rX",
    };
    char payload[128];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        for (size_t step = 1; step <= strlen(cases[i]); step++)
            if (decode(cases[i], strlen(cases[i]), step, payload) >= 0)
                fail_msg("accepted in steps of %zu: %s", step, cases[i]);
}

static void test_unfinished(void **state)
{
    static const char *const cases[] = {
        "", "5", "5\r", "5\r\n", "5\r\nhel", "5\r\nhello\r\n", "0\r\n", "0\r\n\r"};
    char payload[128];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_int_equal(decode(cases[i], strlen(cases[i]), 1, payload), 0);
}

static void test_largest_size(void **state)
{
    struct edge_chunked decoder = {0};
    struct edge_span run;

    (void)state;
    assert_int_equal(edge_chunked_feed(&decoder, "ffffffff\r\nab", 12, &run, NULL), 12);
    assert_int_equal(run.size, 2);
    assert_int_equal(decoder.remaining, 0xfffffffdu);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_split_everywhere),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_unfinished),
        cmocka_unit_test(test_largest_size),
    };

    return cmocka_run_group_tests_name("server/edge/chunked", tests, NULL, NULL);
}
