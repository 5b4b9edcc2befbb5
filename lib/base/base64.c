#include "lib/base/base64.h"

#include <atoll/cleanup.h>
#include <stdint.h>
#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int digit_value(char c)
{
    const char *found = c ? strchr(alphabet, c) : NULL;

    return found ? (int)(found - alphabet) : -1;
}

/* Decodes one group of four; `padding` (0 to 2) of its last characters are '='. */
static bool decode_group(const char *group, size_t padding, unsigned char out[static 3])
{
    uint32_t bits = 0;

    for (size_t i = 0; i < 4; i++) {
        int value = i < 4 - padding ? digit_value(group[i]) : 0;

        if (value < 0)
            return false;
        bits = bits << 6 | (uint32_t)value;
    }
    /* Bits behind the last byte must be zero, so that one value has one spelling. */
    if ((padding == 1 && (bits & 0xff) != 0) || (padding == 2 && (bits & 0xffff) != 0))
        return false;
    out[0] = (unsigned char)(bits >> 16);
    out[1] = (unsigned char)(bits >> 8);
    out[2] = (unsigned char)bits;
    return true;
}

bool base64_decode(const char *text, size_t size, char **ret_data, size_t *ret_size)
{
    _cleanup_free_ char *data = NULL;
    size_t used = 0;

    if (size % 4 != 0)
        return false;
    data = malloc(size / 4 * 3 + 1);
    if (!data)
        return false;
    for (size_t i = 0; i < size; i += 4) {
        bool last = i + 4 == size;
        size_t padding = 0;
        unsigned char bytes[3];

        if (last && text[i + 3] == '=')
            padding = text[i + 2] == '=' ? 2 : 1;
        if (!decode_group(text + i, padding, bytes))
            return false;
        memcpy(data + used, bytes, 3 - padding);
        used += 3 - padding;
    }
    data[used] = '\0';
    *ret_data = TAKE_PTR(data);
    *ret_size = used;
    return true;
}

char *base64_encode(const void *data, size_t size)
{
    const unsigned char *bytes = data;
    char *text = malloc((size + 2) / 3 * 4 + 1);
    char *out = text;

    if (!text)
        return NULL;
    for (size_t i = 0; i < size; i += 3) {
        size_t left = size - i;
        uint32_t bits = (uint32_t)bytes[i] << 16;

        if (left > 1)
            bits |= (uint32_t)bytes[i + 1] << 8;
        if (left > 2)
            bits |= bytes[i + 2];
        *out++ = alphabet[bits >> 18];
        *out++ = alphabet[bits >> 12 & 63];
        *out++ = left > 1 ? alphabet[bits >> 6 & 63] : '=';
        *out++ = left > 2 ? alphabet[bits & 63] : '=';
    }
    *out = '\0';
    return text;
}
