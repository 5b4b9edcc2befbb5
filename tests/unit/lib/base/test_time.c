#include "lib/base/time.h"
#include "lib/base/util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static void test_times_are_utc_with_microseconds(void **state)
{
    static const struct {
        int64_t usec;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00.000000Z"},
        {1, "1970-01-01T00:00:00.000001Z"},
        {-1, "1969-12-31T23:59:59.999999Z"},
        {INT64_C(1767323045678901), "2026-01-02T03:04:05.678901Z"},
        {INT64_C(253402300799999999), "9999-12-31T23:59:59.999999Z"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char text[TIME_TEXT_SIZE];

        time_format(cases[i].usec, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void test_forms_of_rfc_3339(void **state)
{
    static const struct {
        const char *text;
        int64_t usec;
    } cases[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1970-01-01T00:00:00.5Z", 500000},
        {"1970-01-01T00:00:00.123456789Z", 123456},
        {"1970-01-01T01:00:00+01:00", 0},
        {"1970-01-01T00:00:00-23:59", INT64_C(86340000000)},
        {"1972-06-30T23:59:60Z", INT64_C(78796800000000)},
        {"2024-02-29T00:00:00Z", INT64_C(1709164800000000)},
        {"9999-12-31T23:59:59Z", INT64_C(253402300799000000)},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int64_t usec = -7;

        if (!time_parse(cases[i].text, &usec))
            fail_msg("%s is refused", cases[i].text);
        assert_int_equal(usec, cases[i].usec);
    }
}

static void test_what_is_no_time(void **state)
{
    static const char *const bad[] = {
        "",
        "2026",
        "2026-01-02",
        "2026-01-02T03:04:05",
        "2026-01-02t03:04:05z",
        "2026-01-02 03:04:05Z",
        "1969-12-31T23:59:59Z",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-01-32T00:00:00Z",
        "2025-02-29T00:00:00Z",
        "2100-02-29T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:60:00Z",
        "2026-01-01T00:00:61Z",
        "2026-01-01T00:00:00.Z",
        "2026-01-01T00:00:00.1234567890Z",
        "2026-01-01T00:00:00+24:00",
        "2026-01-01T00:00:00+0100",
        "2026-01-01T00:00:00Zx",
        "+2026-01-01T00:00:00Z",
        "20261-01-01T00:00:00Z",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        int64_t usec = -7;

        if (time_parse(bad[i], &usec))
            fail_msg("%s is taken", bad[i]);
        assert_int_equal(usec, -7);
    }
}

static void test_every_day_is_the_calendars(void **state)
{
    const int64_t step = 86399; /* a day less a second: all hours come by */

    (void)state;
    for (int64_t seconds = -INT64_C(62135596800); seconds < INT64_C(253402300800);
         seconds += step) {
        time_t moment = (time_t)seconds;
        char expected[96];
        char text[TIME_TEXT_SIZE];
        struct tm parts;

        (void)gmtime_r(&moment, &parts);
        (void)snprintf(expected, sizeof(expected), "%04d-%02d-%02dT%02d:%02d:%02d.012345Z",
                       parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour,
                       parts.tm_min, parts.tm_sec);
        time_format(seconds * 1000000 + 12345, text);
        if (strcmp(text, expected) != 0)
            fail_msg("%s, not %s", text, expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_times_are_utc_with_microseconds),
        cmocka_unit_test(test_forms_of_rfc_3339),
        cmocka_unit_test(test_what_is_no_time),
        cmocka_unit_test(test_every_day_is_the_calendars),
    };

    return cmocka_run_group_tests_name("lib/base/time", tests, NULL, NULL);
}
