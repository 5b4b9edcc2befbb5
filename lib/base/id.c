#include "lib/base/util.h"

#include <atoll/id.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum { NSEC_PER_MSEC = 1000000, FRACTIONS = 4096 /* of a millisecond: 12 bits */ };

int id_new(struct id *ret_id, struct error *err)
{
    struct id id;
    struct timespec now;
    uint64_t milliseconds, fraction;

    if (getrandom(id.bytes, sizeof(id.bytes), 0) != (ssize_t)sizeof(id.bytes))
        return error_set_errno(err, errno, "cannot get random bytes for an id");
    (void)clock_gettime(CLOCK_REALTIME, &now);
    milliseconds = (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / NSEC_PER_MSEC;
    fraction = (uint64_t)now.tv_nsec % NSEC_PER_MSEC * FRACTIONS / NSEC_PER_MSEC;
    for (unsigned i = 0; i < 6; i++)
        id.bytes[i] = (uint8_t)(milliseconds >> (40 - 8 * i));
    id.bytes[6] = (uint8_t)(0x70u | fraction >> 8); /* version 7 */
    id.bytes[7] = (uint8_t)fraction;
    id.bytes[8] = (uint8_t)(0x80u | (id.bytes[8] & 0x3fu)); /* variant of RFC 9562 */
    *ret_id = id;
    return 0;
}

bool id_parse(const char *text, struct id *ret_id)
{
    struct id id;
    size_t length = strnlen(text, 37);
    bool dashed = length == 36;

    if (!dashed && length != 32)
        return false;
    for (size_t i = 0; i < ID_BYTES; i++) {
        int high, low;

        if (dashed && (i == 4 || i == 6 || i == 8 || i == 10) && *text++ != '-')
            return false;
        high = hex_value(*text++);
        low = high < 0 ? -1 : hex_value(*text++);
        if (low < 0)
            return false;
        id.bytes[i] = (uint8_t)(high << 4 | low);
    }
    *ret_id = id;
    return true;
}

void id_format(const struct id *id, char text[static ID_TEXT_SIZE])
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < ID_BYTES; i++) {
        text[2 * i] = digits[id->bytes[i] >> 4];
        text[2 * i + 1] = digits[id->bytes[i] & 15];
    }
    text[ID_TEXT_SIZE - 1] = '\0';
}

bool id_equal(const struct id *a, const struct id *b)
{
    return memcmp(a->bytes, b->bytes, ID_BYTES) == 0;
}

bool id_is_none(const struct id *id)
{
    static const struct id none;

    return id_equal(id, &none);
}

const struct id *id_or_null(const struct id *id)
{
    return id_is_none(id) ? NULL : id;
}
