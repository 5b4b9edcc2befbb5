#include "server/handlers/executor_text.h"

#include "lib/base/util.h"

#include <stdio.h>
#include <string.h>

enum { CHARACTER_MAX = 4 };

/* What RFC 3629 lets a character's length be, by its first byte; 1 for what begins none. */
static size_t length_by_lead(unsigned char lead)
{
    if (lead < 0xc2 || lead > 0xf4)
        return 1;
    return lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

/* Length of the well-formed character at `bytes`, or 0. */
static size_t character_length(const char *bytes, size_t size)
{
    size_t length = length_by_lead((unsigned char)bytes[0]);

    return length <= size && utf8_valid(bytes, length) ? length : 0;
}

/* U+0085, U+2028 and U+2029 end a line for some readers of event streams. */
static const char *escape_of_break(const char *bytes, size_t length)
{
    if (length == 2 && memcmp(bytes, "\xc2\x85", 2) == 0)
        return "\\u0085";
    if (length == 3 && memcmp(bytes, "\xe2\x80\xa8", 3) == 0)
        return "\\u2028";
    if (length == 3 && memcmp(bytes, "\xe2\x80\xa9", 3) == 0)
        return "\\u2029";
    return NULL;
}

static void add_text(struct json_text *text, const char *data)
{
    json_text_add(text, data, strlen(data));
}

/* RFC 8259, section 7. */
static void add_special(struct json_text *text, char c)
{
    static const char letters[] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f',
                                   ['\r'] = 'r', ['"'] = '"',  ['\\'] = '\\'};
    unsigned char code = (unsigned char)c;
    char escape[8];

    if (letters[code])
        (void)snprintf(escape, sizeof(escape), "\\%c", letters[code]);
    else
        (void)snprintf(escape, sizeof(escape), "\\u%04x", code);
    add_text(text, escape);
}

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* Adds what is at `bytes` and is not plain; returns how much of it that was. */
static size_t add_other(struct json_text *text, const char *bytes, size_t size)
{
    size_t length = character_length(bytes, size);
    const char *escape = escape_of_break(bytes, length);

    if (length == 0)
        add_text(text, "\\ufffd");
    else if (length == 1)
        add_special(text, *bytes);
    else if (escape)
        add_text(text, escape);
    else
        json_text_add(text, bytes, length);
    return length ? length : 1;
}

void executor_text_add(struct json_text *text, const char *bytes, size_t size)
{
    size_t clean = 0;
    size_t i = 0;

    while (i < size) {
        if (is_plain((unsigned char)bytes[i])) {
            i++;
            continue;
        }
        json_text_add(text, bytes + clean, i - clean);
        i += add_other(text, bytes + i, size - i);
        clean = i;
    }
    json_text_add(text, bytes + clean, size - clean);
}

size_t executor_text_whole(const char *bytes, size_t size)
{
    for (size_t back = 1; back < CHARACTER_MAX && back <= size; back++) {
        unsigned char byte = (unsigned char)bytes[size - back];

        if ((byte & 0xc0u) == 0x80u)
            continue;
        return length_by_lead(byte) > back ? size - back : size;
    }
    return size;
}
