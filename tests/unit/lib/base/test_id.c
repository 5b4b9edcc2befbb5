#include <atoll/id.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_new_ids_are_version_7_and_ordered(void **state)
{
    struct id previous = {{0}};

    (void)state;
    for (int i = 0; i < 1000; i++) {
        struct id id;

        assert_int_equal(id_new(&id, NULL), 0);
        assert_int_equal(id.bytes[6] >> 4, 7);
        assert_int_equal(id.bytes[8] >> 6, 2);
        assert_true(memcmp(previous.bytes, id.bytes, 8) <= 0);
        assert_false(id_equal(&previous, &id));
        previous = id;
    }
}

static void test_both_spellings_parse_to_the_same_id(void **state)
{
    struct id plain, dashed, upper;
    char text[ID_TEXT_SIZE];

    (void)state;
    assert_true(id_parse("0190a1b2c3d47e5f8a6b0123456789ab", &plain));
    assert_true(id_parse("0190a1b2-c3d4-7e5f-8a6b-0123456789ab", &dashed));
    assert_true(id_parse("0190A1B2C3D47E5F8A6B0123456789AB", &upper));
    assert_true(id_equal(&plain, &dashed));
    assert_true(id_equal(&plain, &upper));
    id_format(&dashed, text);
    assert_string_equal(text, "0190a1b2c3d47e5f8a6b0123456789ab");
}

static void test_anything_else_is_refused_and_leaves_the_output(void **state)
{
    static const char *const bad[] = {
        "",
        "0190a1b2c3d47e5f8a6b0123456789a",
        "0190a1b2c3d47e5f8a6b0123456789abc",
        "0190a1b2c3d47e5f8a6b0123456789ag",
        "0190a1b2-c3d4-7e5f-8a6b0123456789abc",
        "0190a1b2c-3d4-7e5f-8a6b-0123456789ab",
        "{190a1b2-c3d4-7e5f-8a6b-0123456789ab",
        " 190a1b2c3d47e5f8a6b0123456789ab",
    };
    struct id id = {{42}};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        assert_false(id_parse(bad[i], &id));
        assert_int_equal(id.bytes[0], 42);
    }
}

static void test_none(void **state)
{
    static const struct id none;
    const struct id last_byte = {{[ID_BYTES - 1] = 1}};

    (void)state;
    assert_true(id_is_none(&none));
    assert_null(id_or_null(&none));
    assert_false(id_is_none(&last_byte));
    assert_ptr_equal(id_or_null(&last_byte), &last_byte);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_none),
        cmocka_unit_test(test_new_ids_are_version_7_and_ordered),
        cmocka_unit_test(test_both_spellings_parse_to_the_same_id),
        cmocka_unit_test(test_anything_else_is_refused_and_leaves_the_output),
    };

    return cmocka_run_group_tests_name("lib/base/id", tests, NULL, NULL);
}
