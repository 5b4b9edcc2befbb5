#include "lib/base/time.h"

#include <stddef.h>
#include <stdio.h>
#include <time.h>

enum { DAY_SECONDS = 86400 };

/*
 * A day since 1970-01-01 as a date: https://howardhinnant.github.io/date_algorithms.html,
 * civil_from_days. gmtime_r knows it too, but takes a lock that all threads share.
 */
static void to_date(int64_t days, int *ret_year, int *ret_month, int *ret_day)
{
    int64_t shifted = days + 719468; /* from 0000-03-01 */
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    int of_era = (int)(shifted - era * 146097);
    int year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int month_from_march = (5 * of_year + 2) / 153;

    *ret_day = of_year - (153 * month_from_march + 2) / 5 + 1;
    *ret_month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    *ret_year = (int)(era * 400) + year_of_era + (*ret_month <= 2 ? 1 : 0);
}

/* Writes `value` with leading zeros, and `end` behind it. */
static char *put_digits(char *text, int value, int digits, char end)
{
    for (int i = digits - 1; i >= 0; i--) {
        text[i] = (char)('0' + value % 10);
        value /= 10;
    }
    text[digits] = end;
    return text + digits + 1;
}

/* The greatest multiple of `divisor` that is not over `value`, divided by it. */
static int64_t floor_divide(int64_t value, int64_t divisor)
{
    return value / divisor - (value % divisor < 0 ? 1 : 0);
}

void time_format(int64_t unix_usec, char text[static TIME_TEXT_SIZE])
{
    int64_t seconds = floor_divide(unix_usec, 1000000);
    int64_t days = floor_divide(seconds, DAY_SECONDS);
    int of_day = (int)(seconds - days * DAY_SECONDS);
    int year, month, day;

    to_date(days, &year, &month, &day);
    text = put_digits(text, year, 4, '-');
    text = put_digits(text, month, 2, '-');
    text = put_digits(text, day, 2, 'T');
    text = put_digits(text, of_day / 3600, 2, ':');
    text = put_digits(text, of_day / 60 % 60, 2, ':');
    text = put_digits(text, of_day % 60, 2, '.');
    text = put_digits(text, (int)(unix_usec - seconds * 1000000), 6, 'Z');
    *text = '\0';
}

/* Takes exactly `digits` digits; NULL when they are not there. */
static const char *take_digits(const char *text, int digits, int *ret_value)
{
    int value = 0;

    for (int i = 0; i < digits; i++) {
        if (text[i] < '0' || text[i] > '9')
            return NULL;
        value = value * 10 + (text[i] - '0');
    }
    *ret_value = value;
    return text + digits;
}

/* As take_digits, with the separator that must stand before. */
static const char *take_part(const char *text, char separator, int minimum, int maximum,
                             int *ret_value)
{
    if (!text || *text != separator)
        return NULL;
    text = take_digits(text + 1, 2, ret_value);
    return text && *ret_value >= minimum && *ret_value <= maximum ? text : NULL;
}

static const char *take_fraction(const char *text, int *ret_usec)
{
    int usec = 0;
    int digits = 0;

    *ret_usec = 0;
    if (!text || *text != '.')
        return text;
    for (text++; *text >= '0' && *text <= '9'; text++) {
        if (++digits > 9)
            return NULL;
        if (digits <= 6)
            usec = usec * 10 + (*text - '0');
    }
    for (int i = digits; i < 6; i++)
        usec *= 10;
    *ret_usec = usec;
    return digits > 0 ? text : NULL;
}

/* "Z", or an offset from UTC in minutes. */
static const char *take_offset(const char *text, int *ret_minutes)
{
    int hours, minutes;
    char sign;

    *ret_minutes = 0;
    if (!text)
        return NULL;
    if (*text == 'Z')
        return text + 1;
    sign = *text;
    if (sign != '+' && sign != '-')
        return NULL;
    text = take_part(text, sign, 0, 23, &hours);
    text = take_part(text, ':', 0, 59, &minutes);
    if (!text)
        return NULL;
    *ret_minutes = (sign == '-' ? -1 : 1) * (hours * 60 + minutes);
    return text;
}

static bool is_date(const struct tm *parts)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year = parts->tm_year + 1900;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return parts->tm_mday <= days[parts->tm_mon] + (leap && parts->tm_mon == 1 ? 1 : 0);
}

bool time_parse(const char *text, int64_t *ret_unix_usec)
{
    struct tm parts = {0};
    int year = 0, month = 1, usec = 0, offset = 0;

    text = take_digits(text, 4, &year);
    text = take_part(text, '-', 1, 12, &month);
    text = take_part(text, '-', 1, 31, &parts.tm_mday);
    text = take_part(text, 'T', 0, 23, &parts.tm_hour);
    text = take_part(text, ':', 0, 59, &parts.tm_min);
    text = take_part(text, ':', 0, 60, &parts.tm_sec);
    text = take_fraction(text, &usec);
    text = take_offset(text, &offset);
    if (!text || *text != '\0' || year < 1970)
        return false;
    parts.tm_year = year - 1900;
    parts.tm_mon = month - 1;
    if (!is_date(&parts))
        return false;
    *ret_unix_usec = ((int64_t)timegm(&parts) - (int64_t)offset * 60) * 1000000 + usec;
    return true;
}
