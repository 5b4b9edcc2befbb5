#include "cli/plain.h"

#include "lib/base/util.h"

#include <atoll/error.h>
#include <stdint.h>
#include <string.h>

enum { REPLACEMENT = 0xfffd }; /* what stands for bytes that are no character */

/* What a terminal obeys. */
static const struct {
    uint32_t first;
    uint32_t last;
} hidden[] = {
    {0x00, 0x1f},     {0x7f, 0x9f},     {0x61c, 0x61c},
    {0x200e, 0x200f}, {0x2028, 0x202e}, {0x2066, 0x2069},
};

/* The bytes of the first character, and the character; 0 where there is none. */
static size_t decode(const char *text, uint32_t *ret_character)
{
    const unsigned char *bytes = (const unsigned char *)text;
    size_t size = bytes[0] < 0x80 ? 1 : bytes[0] < 0xe0 ? 2 : bytes[0] < 0xf0 ? 3 : 4;
    uint32_t character = size == 1 ? bytes[0] : bytes[0] & (0xffU >> (size + 1));

    if (strnlen(text, size) < size || !utf8_valid(text, size))
        return 0;
    for (size_t i = 1; i < size; i++)
        character = character << 6 | (bytes[i] & 0x3fU);
    *ret_character = character;
    return size;
}

static bool is_hidden(uint32_t character)
{
    for (size_t i = 0; i < ARRAY_SIZE(hidden); i++)
        if (character >= hidden[i].first && character <= hidden[i].last)
            return true;
    return false;
}

void plain_text(char *text)
{
    char *out = text;

    while (*text != '\0') {
        uint32_t character = 0;
        size_t size = decode(text, &character);

        if (size == 0 || is_hidden(character)) {
            *out++ = '?';
        } else {
            memmove(out, text, size);
            out += size;
        }
        text += size > 0 ? size : 1;
    }
    *out = '\0';
}

void plain_json(FILE *out, const char *json)
{
    while (*json != '\0') {
        uint32_t character = REPLACEMENT;
        size_t size = decode(json, &character);

        if (size == 0 || (is_hidden(character) && !strchr("\t\n\r", *json)))
            (void)fprintf(out, "\\u%04x", (unsigned)character);
        else
            (void)fwrite(json, 1, size, out);
        json += size > 0 ? size : 1;
    }
    (void)fputc('\n', out);
}

void plain_complain(const char *message)
{
    char text[ERROR_MESSAGE_MAX];

    (void)snprintf(text, sizeof(text), "%s", message);
    plain_text(text);
    (void)fprintf(stderr, "atoll: %s\n", text);
}
