#include "server/edge/buffer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_bounded(void **state)
{
    struct edge_buffer buffer = {0};
    char data[3000];

    (void)state;
    memset(data, 'd', sizeof(data));
    assert_true(edge_buffer_append(&buffer, data, 3000, 5000));
    assert_false(edge_buffer_append(&buffer, data, 2001, 5000));
    assert_int_equal(edge_buffer_used(&buffer), 3000);
    assert_true(edge_buffer_append(&buffer, data, 2000, 5000));
    assert_true(buffer.capacity <= 5000);
    assert_false(edge_buffer_printf(&buffer, 5000, "x"));
    edge_buffer_consume(&buffer, 4000);
    assert_true(edge_buffer_append(&buffer, "tail", 4, 5000));
    assert_int_equal(edge_buffer_used(&buffer), 1004);
    assert_memory_equal(edge_buffer_bytes(&buffer) + 1000, "tail", 4);
    edge_buffer_release(&buffer);
    assert_int_equal(edge_buffer_used(&buffer), 0);
}

static void test_printf(void **state)
{
    struct edge_buffer buffer = {0};
    char text[4000];

    (void)state;
    memset(text, 't', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    assert_true(edge_buffer_printf(&buffer, 10000, "%s-%d", "a", 1));
    assert_true(edge_buffer_printf(&buffer, 10000, "%s", text));
    assert_int_equal(edge_buffer_used(&buffer), 3 + 3999);
    assert_memory_equal(edge_buffer_bytes(&buffer), "a-1ttt", 6);
    edge_buffer_release(&buffer);
}

static void test_no_overflow(void **state)
{
    struct edge_buffer buffer = {0};

    (void)state;
    assert_true(edge_buffer_append(&buffer, "abc", 3, 100));
    assert_false(edge_buffer_reserve(&buffer, SIZE_MAX, 100));
    assert_false(edge_buffer_reserve(&buffer, SIZE_MAX - 2, SIZE_MAX - 1));
    edge_buffer_release(&buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounded),
        cmocka_unit_test(test_printf),
        cmocka_unit_test(test_no_overflow),
    };

    return cmocka_run_group_tests_name("server/edge/buffer", tests, NULL, NULL);
}
