#include "lib/base/base64.h"
#include "lib/base/util.h"

#include <atoll/cleanup.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_numbers_are_digits_within_their_range(void **state)
{
    static const char *const bad[] = {"",
                                      "-1",
                                      "+1",
                                      " 1",
                                      "1 ",
                                      "0x1",
                                      "1e3",
                                      "256",
                                      "18446744073709551616",
                                      "99999999999999999999999"};
    uint64_t value = 7;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_false(parse_u64(bad[i], 255, &value));
        assert_int_equal(value, 7);
    }
    assert_true(parse_u64("255", 255, &value));
    assert_int_equal(value, 255);
    assert_true(parse_u64("18446744073709551615", UINT64_MAX, &value));
    assert_true(value == UINT64_MAX);
}

static void test_hex_digits_of_either_case(void **state)
{
    static const char digits[] = "0123456789abcdef";
    static const char others[] = "/:@G`g \x80";

    (void)state;
    for (int i = 0; i < 16; i++)
        assert_int_equal(hex_value(digits[i]), i);
    assert_int_equal(hex_value('A'), 10);
    assert_int_equal(hex_value('F'), 15);
    for (size_t i = 0; i < sizeof(others); i++)
        assert_int_equal(hex_value(others[i]), -1);
}

static void test_utf8_is_checked_to_the_letter(void **state)
{
    static const struct {
        const char *text;
        bool valid;
    } cases[] = {
        {"", true},
        {"plain", true},
        {"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", true},
        {"\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf", true},
        {"\xc0\xaf", false},         /* overlong slash */
        {"\xe0\x80\xaf", false},     /* overlong slash */
        {"\xf0\x80\x80\xaf", false}, /* overlong slash */
        {"\xed\xa0\x80", false},     /* surrogate */
        {"\xf4\x90\x80\x80", false}, /* beyond U+10FFFF */
        {"\x80", false},
        {"a\xff", false},
        {"\xe2\x82", false}, /* cut short */
        {"\xe2\x28\xa1", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_int_equal(utf8_valid(cases[i].text, strlen(cases[i].text)), cases[i].valid);
    assert_true(utf8_valid("a\0b", 3));
}

static void test_names_cannot_leave_their_folder(void **state)
{
    (void)state;
    assert_true(name_valid("base", 63));
    assert_true(name_valid("node-20.1_x", 63));
    assert_false(name_valid("", 63));
    assert_false(name_valid("..", 63));
    assert_false(name_valid(".hidden", 63));
    assert_false(name_valid("a/b", 63));
    assert_false(name_valid("Upper", 63));
    assert_false(name_valid("-flag", 63));
    assert_false(name_valid("abcd", 3));
}

static void test_base64_round_trips_and_is_strict(void **state)
{
    static const char *const bad[] = {"a",        "ab",    "abc",  "ab=c", "a===", "====",
                                      "ab==cd==", "YQ=\n", "YR==", "YWJ=", "Y Q=", "YQ--"};
    unsigned char bytes[256];

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)i;
    for (size_t size = 0; size <= sizeof(bytes); size++) {
        char *text = base64_encode(bytes, size);
        char *back = NULL;
        size_t back_size = 0;

        assert_non_null(text);
        assert_true(base64_decode(text, strlen(text), &back, &back_size));
        assert_int_equal(back_size, size);
        assert_memory_equal(back, bytes, size);
        free(text);
        free(back);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        char *data = NULL;
        size_t size = 0;

        assert_false(base64_decode(bad[i], strlen(bad[i]), &data, &size));
        assert_null(data);
    }
}

static void test_a_file_over_its_limit_is_refused(void **state)
{
    struct error err;
    char *data = NULL;
    size_t size = 0;

    (void)state;
    assert_int_equal(read_file(AT_FDCWD, "/proc/self/maps", 16, &data, &size, &err), -1);
    assert_int_equal(err.code, ERR_TOO_LARGE);
    assert_int_equal(read_file(AT_FDCWD, "/proc/self/maps", 1 << 20, &data, &size, &err), 0);
    assert_int_equal(data[size], '\0');
    assert_true(size > 16);
    free(data);
}

static void test_a_folder_is_read_from_its_start_each_time(void **state)
{
    int fd = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    (void)state;
    assert_true(fd >= 0);
    for (int i = 0; i < 2; i++) {
        _cleanup_closedir_ DIR *folder = folder_open(fd);
        const struct dirent *entry;

        assert_non_null(folder);
        entry = readdir(folder);
        assert_non_null(entry);
        assert_string_equal(entry->d_name, ".");
    }
    assert_int_equal(close(fd), 0);
    assert_null(folder_open(fd));
    assert_int_equal(errno, EBADF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_are_digits_within_their_range),
        cmocka_unit_test(test_hex_digits_of_either_case),
        cmocka_unit_test(test_utf8_is_checked_to_the_letter),
        cmocka_unit_test(test_names_cannot_leave_their_folder),
        cmocka_unit_test(test_base64_round_trips_and_is_strict),
        cmocka_unit_test(test_a_file_over_its_limit_is_refused),
        cmocka_unit_test(test_a_folder_is_read_from_its_start_each_time),
    };

    return cmocka_run_group_tests_name("lib/base/util", tests, NULL, NULL);
}
