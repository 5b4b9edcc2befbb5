#include "lib/auth/base64url.h"

#include <stdint.h>

void base64url_encode(const void *data, size_t size, char *text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const unsigned char *bytes = data;
    uint32_t bits = 0;
    unsigned held = 0;

    for (size_t i = 0; i < size; i++) {
        bits = bits << 8 | bytes[i];
        for (held += 8; held >= 6; held -= 6)
            *text++ = digits[bits >> (held - 6) & 63];
    }
    if (held > 0)
        *text++ = digits[bits << (6 - held) & 63];
    *text = '\0';
}

static int digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '-')
        return 62;
    if (c == '_')
        return 63;
    return -1;
}

bool base64url_decode(const char *text, size_t size, void *buffer, size_t capacity,
                      size_t *ret_size)
{
    unsigned char *out = buffer;
    uint32_t bits = 0;
    unsigned held = 0;
    size_t used = 0;

    if (size % 4 == 1)
        return false;
    for (size_t i = 0; i < size; i++) {
        int value = digit(text[i]);

        if (value < 0)
            return false;
        bits = bits << 6 | (uint32_t)value;
        held += 6;
        if (held < 8)
            continue;
        if (used == capacity)
            return false;
        held -= 8;
        out[used++] = (unsigned char)(bits >> held);
        bits &= (1u << held) - 1;
    }
    if (bits != 0)
        return false;
    *ret_size = used;
    return true;
}
