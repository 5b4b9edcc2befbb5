#include "server/http/path.h"

#include "lib/base/util.h"

#include <stdbool.h>
#include <string.h>

enum part { PART_PATH, PART_QUERY };

/* Decodes the byte at `*inout_at` and steps over it; -1 for what may not stand in this part. */
static int decode_byte(const char *text, size_t size, enum part part, size_t *inout_at)
{
    size_t at = *inout_at;
    int byte = (unsigned char)text[at];
    bool encoded = byte == '%';

    if (encoded) {
        int high = size - at >= 3 ? hex_value(text[at + 1]) : -1;
        int low = high >= 0 ? hex_value(text[at + 2]) : -1;

        byte = low >= 0 ? high * 16 + low : -1;
    } else if (byte == '+' && part == PART_QUERY) {
        byte = ' ';
    }
    if (byte < 0x20 || byte == 0x7f || (encoded && byte == '/' && part == PART_PATH))
        return -1;
    *inout_at = at + (encoded ? 3 : 1);
    return byte;
}

/* `ret_text` has room for `size` bytes and a NUL. */
static bool decode(const char *text, size_t size, enum part part, char *ret_text)
{
    size_t length = 0;

    for (size_t i = 0; i < size;) {
        int byte = decode_byte(text, size, part, &i);

        if (byte < 0)
            return false;
        ret_text[length++] = (char)byte;
    }
    ret_text[length] = '\0';
    return utf8_valid(ret_text, length);
}

int http_path_split(const char *raw, char *storage, char *segments[static HTTP_SEGMENTS_MAX],
                    size_t *ret_count, struct error *err)
{
    size_t count = 0;

    if (raw[0] != '/')
        return error_set(err, ERR_BAD_REQUEST, "the path is not well-formed");
    for (const char *at = raw; *at == '/' && strcmp(raw, "/") != 0;) {
        size_t size = strcspn(++at, "/");

        if (count == HTTP_SEGMENTS_MAX)
            return error_set(err, ERR_NOT_FOUND, "there is no such resource");
        if (!decode(at, size, PART_PATH, storage))
            return error_set(err, ERR_BAD_REQUEST, "the path is not well-formed");
        segments[count++] = storage;
        storage += strlen(storage) + 1;
        at += size;
    }
    *ret_count = count;
    return 0;
}

int http_query_value(const char *query, const char *name, char *buffer, size_t size,
                     struct error *err)
{
    size_t name_size = strlen(name);
    int found = 0;

    while (*query) {
        size_t pair = strcspn(query, "&");

        if (pair >= name_size && strncmp(query, name, name_size) == 0 &&
            (pair == name_size || query[name_size] == '=')) {
            size_t skip = pair == name_size ? name_size : name_size + 1;

            if (found)
                return error_set_field(err, ERR_INVALID_FIELD, name, "'%s' came twice in the query",
                                       name);
            if (pair - skip >= size || !decode(query + skip, pair - skip, PART_QUERY, buffer))
                return error_set_field(err, ERR_INVALID_FIELD, name,
                                       "'%s' is too long or not well-formed", name);
            found = 1;
        }
        query += pair + (query[pair] == '&' ? 1 : 0);
    }
    return found;
}
