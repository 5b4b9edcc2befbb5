#include "server/handlers/byte_range.h"

#include "lib/base/util.h"

#include <string.h>
#include <strings.h>

enum { NUMBER_SIZE = 24 };

/* Digits from `text` up to `end`. */
static bool parse_number(const char *text, const char *end, uint64_t *ret_number)
{
    char digits[NUMBER_SIZE];
    size_t length = (size_t)(end - text);

    if (length == 0 || length >= sizeof(digits))
        return false;
    memcpy(digits, text, length);
    digits[length] = '\0';
    return parse_u64(digits, INT64_MAX, ret_number);
}

/* "-n": the last n bytes. */
static enum byte_range_kind parse_suffix(const char *text, uint64_t size, uint64_t *ret_first,
                                         uint64_t *ret_count)
{
    uint64_t count;

    if (!parse_number(text, text + strlen(text), &count))
        return BYTE_RANGE_NONE;
    if (count == 0 || size == 0)
        return BYTE_RANGE_OUTSIDE;
    *ret_count = count < size ? count : size;
    *ret_first = size - *ret_count;
    return BYTE_RANGE_PART;
}

enum byte_range_kind byte_range_parse(const char *text, uint64_t size, uint64_t *ret_first,
                                      uint64_t *ret_count)
{
    static const char unit[] = "bytes=";
    const char *dash;
    uint64_t first, last = UINT64_MAX;

    if (!text || strncasecmp(text, unit, sizeof(unit) - 1) != 0)
        return BYTE_RANGE_NONE;
    text += sizeof(unit) - 1;
    dash = strchr(text, '-');
    if (!dash)
        return BYTE_RANGE_NONE;
    if (dash == text)
        return parse_suffix(text + 1, size, ret_first, ret_count);
    if (!parse_number(text, dash, &first) ||
        (dash[1] != '\0' && !parse_number(dash + 1, dash + strlen(dash), &last)) || last < first)
        return BYTE_RANGE_NONE;
    if (first >= size)
        return BYTE_RANGE_OUTSIDE;
    *ret_first = first;
    *ret_count = (last < size ? last + 1 : size) - first;
    return BYTE_RANGE_PART;
}
