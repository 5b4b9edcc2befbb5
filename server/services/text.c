#include "server/services/text.h"

#include "lib/base/util.h"

#include <stdlib.h>
#include <string.h>

static const char replacement[] = "\xef\xbf\xbd";

/* The length of the well-formed character at `data`, or 0. A NUL counts as bad: it would end the
 * C string that JSON is printed from. */
static size_t character_length(const char *data, size_t size)
{
    unsigned char lead = (unsigned char)data[0];
    size_t length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;

    if (lead == 0 || length > size || !utf8_valid(data, length))
        return 0;
    return length;
}

char *text_from_bytes(const char *data, size_t size, bool *ret_exact)
{
    bool exact = utf8_valid(data, size) && !memchr(data, 0, size);
    char *text = malloc(exact ? size + 1 : 3 * size + 1);
    char *out = text;

    if (!text)
        return NULL;
    if (exact) {
        memcpy(text, data, size);
        text[size] = '\0';
        *ret_exact = true;
        return text;
    }
    for (size_t i = 0; i < size;) {
        size_t length = character_length(data + i, size - i);

        memcpy(out, length ? data + i : replacement, length ? length : 3);
        out += length ? length : 3;
        i += length ? length : 1;
    }
    *out = '\0';
    *ret_exact = false;
    return text;
}
