#include "server/edge/field.h"

#include <string.h>
#include <strings.h>

enum { LENGTH_DIGITS_MAX = 18 }; /* 10^18 - 1 fits 63 bits */

static const bool token_chars[256] = {
    ['0' ... '9'] = true, ['A' ... 'Z'] = true, ['a' ... 'z'] = true, ['!'] = true,  ['#'] = true,
    ['$'] = true,         ['%'] = true,         ['&'] = true,         ['\''] = true, ['*'] = true,
    ['+'] = true,         ['-'] = true,         ['.'] = true,         ['^'] = true,  ['_'] = true,
    ['`'] = true,         ['|'] = true,         ['~'] = true,
};

enum edge_scan edge_head_scan(const char *data, size_t size, size_t *inout_scanned,
                              size_t *ret_size)
{
    size_t position = *inout_scanned;

    while (position < size) {
        const char *newline = memchr(data + position, '\n', size - position);
        size_t at;

        if (!newline)
            break;
        at = (size_t)(newline - data);
        if (at == 0 || data[at - 1] != '\r')
            return EDGE_SCAN_REFUSED;
        if (at >= 3 && data[at - 2] == '\n') {
            *ret_size = at + 1;
            return EDGE_SCAN_COMPLETE;
        }
        position = at + 1;
    }
    *inout_scanned = size;
    return EDGE_SCAN_PARTIAL;
}

struct edge_span edge_line_next(struct edge_span *inout_head)
{
    const char *newline = memchr(inout_head->data, '\n', inout_head->size);
    size_t taken = newline ? (size_t)(newline - inout_head->data) + 1 : inout_head->size;
    struct edge_span line = {inout_head->data, taken >= 2 ? taken - 2 : 0};

    inout_head->data += taken;
    inout_head->size -= taken;
    return line;
}

static bool is_space(char character)
{
    return character == ' ' || character == '\t';
}

static struct edge_span trimmed(struct edge_span span)
{
    while (span.size > 0 && is_space(span.data[0])) {
        span.data++;
        span.size--;
    }
    while (span.size > 0 && is_space(span.data[span.size - 1]))
        span.size--;
    return span;
}

static bool value_is_clean(struct edge_span value)
{
    for (size_t i = 0; i < value.size; i++) {
        unsigned char byte = (unsigned char)value.data[i];

        if ((byte < 0x20 && byte != '\t') || byte == 0x7f)
            return false;
    }
    return true;
}

int edge_field_parse(struct edge_span line, struct edge_field *ret_field, struct error *err)
{
    const char *colon = memchr(line.data, ':', line.size);
    struct edge_field field = {.forward = true};

    if (line.size > 0 && is_space(line.data[0]))
        return error_set(err, ERR_BAD_REQUEST, "a header field is folded over two lines");
    if (!colon)
        return error_set(err, ERR_BAD_REQUEST, "a header field has no colon");
    field.name = (struct edge_span){line.data, (size_t)(colon - line.data)};
    if (!edge_span_is_token(field.name))
        return error_set(err, ERR_BAD_REQUEST, "the name of a header field is not a token");
    field.value = trimmed((struct edge_span){colon + 1, line.size - field.name.size - 1});
    if (!value_is_clean(field.value))
        return error_set(err, ERR_BAD_REQUEST, "a header field holds a control character");
    *ret_field = field;
    return 0;
}

bool edge_span_equal(struct edge_span a, struct edge_span b)
{
    return a.size == b.size && strncasecmp(a.data, b.data, a.size) == 0;
}

bool edge_span_is_token(struct edge_span span)
{
    for (size_t i = 0; i < span.size; i++)
        if (!token_chars[(unsigned char)span.data[i]])
            return false;
    return span.size > 0;
}

struct edge_span edge_list_next(struct edge_span *inout_list)
{
    while (inout_list->size > 0) {
        const char *comma = memchr(inout_list->data, ',', inout_list->size);
        size_t size = comma ? (size_t)(comma - inout_list->data) : inout_list->size;
        struct edge_span element = trimmed((struct edge_span){inout_list->data, size});

        size += comma ? 1 : 0;
        inout_list->data += size;
        inout_list->size -= size;
        if (element.size > 0)
            return element;
    }
    return (struct edge_span){inout_list->data, 0};
}

bool edge_length_parse(struct edge_span text, uint64_t *ret_length)
{
    uint64_t length = 0;

    if (text.size == 0 || text.size > LENGTH_DIGITS_MAX)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        length = length * 10 + (uint64_t)(text.data[i] - '0');
    }
    *ret_length = length;
    return true;
}
