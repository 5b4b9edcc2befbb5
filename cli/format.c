#include "cli/format.h"

#include "lib/base/util.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { DIGITS_MAX = 12 };

void format_mebibytes(int64_t mebibytes, char text[static FORMAT_SIZE])
{
    static const char units[] = "MGT";
    int64_t tenths = mebibytes * 10;
    size_t unit = 0;

    while (tenths >= 10240 && units[unit + 1] != '\0') {
        tenths /= 1024;
        unit++;
    }
    if (tenths % 10 == 0)
        (void)snprintf(text, FORMAT_SIZE, "%" PRId64 "%c", tenths / 10, units[unit]);
    else
        (void)snprintf(text, FORMAT_SIZE, "%" PRId64 ".%" PRId64 "%c", tenths / 10, tenths % 10,
                       units[unit]);
}

void format_cores(int64_t milli, char text[static FORMAT_SIZE])
{
    int length = snprintf(text, FORMAT_SIZE, "%" PRId64 ".%03" PRId64, milli / 1000, milli % 1000);

    while (text[length - 1] == '0')
        text[--length] = '\0';
    if (text[length - 1] == '.')
        text[length - 1] = '\0';
}

void format_age(int64_t seconds, char text[static FORMAT_SIZE])
{
    static const struct {
        int64_t below;
        int64_t unit;
        char letter;
    } units[] = {{120, 1, 's'}, {7200, 60, 'm'}, {172800, 3600, 'h'}, {INT64_MAX, 86400, 'd'}};
    size_t i = 0;

    while (seconds >= units[i].below)
        i++;
    (void)snprintf(text, FORMAT_SIZE, "%" PRId64 "%c", seconds / units[i].unit, units[i].letter);
}

/* Digits, and what follows them. */
static bool split(const char *text, int64_t *ret_number, const char **ret_unit)
{
    size_t length = strspn(text, "0123456789");
    char digits[DIGITS_MAX + 1] = "";
    uint64_t number;

    if (length == 0 || length > DIGITS_MAX)
        return false;
    memcpy(digits, text, length);
    if (!parse_u64(digits, INT64_MAX, &number))
        return false;
    *ret_number = (int64_t)number;
    *ret_unit = text + length;
    return true;
}

struct unit {
    const char *name;
    int64_t factor;
};

static bool parse_with_unit(const char *text, const struct unit *units, size_t count,
                            int64_t *ret_value)
{
    const char *name;
    int64_t number;

    if (!split(text, &number, &name))
        return false;
    for (size_t i = 0; i < count; i++)
        if (strcasecmp(name, units[i].name) == 0)
            return !__builtin_mul_overflow(number, units[i].factor, ret_value);
    return false;
}

bool parse_mebibytes(const char *text, int64_t *ret_mebibytes)
{
    static const struct unit units[] = {
        {"", 1},      {"m", 1},      {"mb", 1},      {"mib", 1},      {"g", 1024},
        {"gb", 1024}, {"gib", 1024}, {"t", 1048576}, {"tb", 1048576}, {"tib", 1048576},
    };

    return parse_with_unit(text, units, ARRAY_SIZE(units), ret_mebibytes);
}

bool parse_duration_ms(const char *text, int64_t *ret_ms)
{
    static const struct unit units[] = {
        {"ms", 1}, {"", 1000}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000},
    };

    return parse_with_unit(text, units, ARRAY_SIZE(units), ret_ms);
}

bool parse_cores(const char *text, int64_t *ret_milli)
{
    static const int64_t factors[] = {1000, 100, 10, 1};
    const char *fraction;
    const char *end;
    int64_t whole;
    int64_t part = 0;
    size_t decimals = 0;

    if (!split(text, &whole, &fraction))
        return false;
    if (*fraction == '.') {
        if (!split(fraction + 1, &part, &end) || *end != '\0')
            return false;
        decimals = (size_t)(end - fraction - 1);
    } else if (*fraction != '\0') {
        return false;
    }
    if (decimals >= ARRAY_SIZE(factors))
        return false;
    *ret_milli = whole * 1000 + part * factors[decimals];
    return true;
}
