#include "lib/base/time.h"

#include <stddef.h>
#include <stdio.h>
#include <time.h>

void time_format(int64_t unix_usec, char text[static TIME_TEXT_SIZE])
{
    time_t seconds = (time_t)(unix_usec / 1000000);
    int usec = (int)(unix_usec % 1000000);
    struct tm parts;
    size_t used;

    if (usec < 0) {
        usec += 1000000;
        seconds--;
    }
    (void)gmtime_r(&seconds, &parts);
    used = strftime(text, TIME_TEXT_SIZE, "%Y-%m-%dT%H:%M:%S", &parts);
    (void)snprintf(text + used, TIME_TEXT_SIZE - used, ".%06dZ", usec);
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
