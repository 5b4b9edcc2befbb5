#include "lib/agentproto/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_fields_come_back(void **state)
{
    uint8_t data[64];
    struct wire_writer writer = {.data = data, .capacity = sizeof(data)};
    struct wire_reader reader = {.data = data};

    (void)state;
    wire_put_u32(&writer, 0xfedcba98);
    wire_put_u64(&writer, 0x0123456789abcdef);
    wire_put_string(&writer, "text");
    wire_put_string(&writer, "");
    assert_false(writer.failed);
    assert_int_equal(writer.size, 4 + 8 + 4 + 5 + 4 + 1);
    assert_memory_equal(data, "\x98\xba\xdc\xfe\xef\xcd\xab\x89\x67\x45\x23\x01", 12);
    reader.size = writer.size;
    assert_int_equal(wire_get_u32(&reader), 0xfedcba98);
    assert_true(wire_get_u64(&reader) == 0x0123456789abcdef);
    assert_string_equal(wire_get_string(&reader, 5), "text");
    assert_false(wire_reader_complete(&reader));
    assert_string_equal(wire_get_string(&reader, 5), "");
    assert_true(wire_reader_complete(&reader));
}

static void test_writer_stops_at_its_capacity(void **state)
{
    uint8_t data[8] = {0};
    struct wire_writer writer = {.data = data, .capacity = 6};

    (void)state;
    wire_put_u32(&writer, 1);
    wire_put_u32(&writer, 0xffffffff);
    assert_true(writer.failed);
    wire_put_string(&writer, "");
    assert_true(writer.failed);
    assert_memory_equal(data, "\1\0\0\0\0\0\0\0", 8);
}

static void test_reader_failure_is_sticky(void **state)
{
    static const uint8_t data[] = {1, 2, 3, 4, 5, 6};
    struct wire_reader reader = {.data = data, .size = sizeof(data)};

    (void)state;
    assert_int_equal(wire_get_u32(&reader), 0x04030201);
    assert_int_equal(wire_get_u32(&reader), 0);
    assert_true(reader.failed);
    assert_string_equal(wire_get_string(&reader, 10), "");
    assert_false(wire_reader_complete(&reader));
}

static void assert_bad_string(const char *bytes, size_t size, size_t max)
{
    struct wire_reader reader = {.data = (const uint8_t *)bytes, .size = size};

    assert_string_equal(wire_get_string(&reader, max), "");
    assert_true(reader.failed);
}

static void test_strings_are_checked(void **state)
{
    (void)state;
    assert_bad_string("\3\0\0\0abc", 7, 10);    /* cut off before its zero byte */
    assert_bad_string("\3\0\0\0abcd", 8, 10);   /* no zero byte */
    assert_bad_string("\3\0\0\0a\0c\0", 8, 10); /* one inside */
    assert_bad_string("\3\0\0\0abc\0", 8, 3);   /* over the bound */
    assert_bad_string("\xff\xff\xff\xff"
                      "abc\0",
                      8, 10); /* 4 GiB */
    assert_bad_string("\3\0\0", 3, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields_come_back),
        cmocka_unit_test(test_writer_stops_at_its_capacity),
        cmocka_unit_test(test_reader_failure_is_sticky),
        cmocka_unit_test(test_strings_are_checked),
    };

    return cmocka_run_group_tests_name("agentproto: wire", tests, NULL, NULL);
}
