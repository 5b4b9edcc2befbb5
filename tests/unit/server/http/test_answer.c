#include "server/http/answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_with_body(void **state)
{
    struct http_answer answer = {0};
    char head[HTTP_ANSWER_HEAD_MAX];
    size_t size;

    (void)state;
    http_answer_add(&answer, "Retry-After", "1");
    size = http_answer_format(&answer, 503, "text/plain", 7, head);
    assert_int_equal(size, strlen(head));
    assert_string_equal(head, "HTTP/1.1 503 Service Unavailable\r\n"
                              "X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n"
                              "Retry-After: 1\r\nContent-Type: text/plain\r\n"
                              "Content-Length: 7\r\n\r\n");
}

static void test_without_body(void **state)
{
    struct http_answer answer = {0};
    char head[HTTP_ANSWER_HEAD_MAX];

    (void)state;
    (void)http_answer_format(&answer, 204, NULL, 0, head);
    assert_null(strstr(head, "Content-Length"));
    (void)http_answer_format(&answer, 202, NULL, 0, head);
    assert_non_null(strstr(head, "Content-Length: 0\r\n\r\n"));
}

static void test_a_field_is_found(void **state)
{
    struct http_answer answer = {0};
    size_t size = 0;

    (void)state;
    assert_null(http_answer_find(&answer, "ETag", &size));
    http_answer_add(&answer, "ETags", "\"0\"");
    http_answer_add(&answer, "ETag", "\"17\"");
    http_answer_add(&answer, "X-Last", "1");
    assert_memory_equal(http_answer_find(&answer, "ETag", &size), "\"17\"", 4);
    assert_int_equal(size, 4);
    assert_null(http_answer_find(&answer, "Last", &size));
}

static void test_response_splitting(void **state)
{
    struct http_answer answer = {0};

    (void)state;
    http_answer_add(&answer, "Location", "/a\r\nSet-Cookie: b");
    assert_true(answer.broken);
}

static void test_bounded(void **state)
{
    struct http_answer answer = {0};
    char head[HTTP_ANSWER_HEAD_MAX];

    (void)state;
    for (int i = 0; i < 1000; i++)
        http_answer_add(&answer, "X-Name", "value");
    assert_true(answer.broken);
    assert_true(http_answer_format(&answer, 431, "application/problem+json", SIZE_MAX - 1, head) <
                HTTP_ANSWER_HEAD_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_with_body),        cmocka_unit_test(test_without_body),
        cmocka_unit_test(test_a_field_is_found), cmocka_unit_test(test_response_splitting),
        cmocka_unit_test(test_bounded),
    };

    return cmocka_run_group_tests_name("server/http/answer", tests, NULL, NULL);
}
