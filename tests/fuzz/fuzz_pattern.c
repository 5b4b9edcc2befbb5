/*
 * Expressions and lines that a caller and a sandbox may give: the input is options, an expression,
 * a newline and a line. Searched in small pieces of work, it must end as it does in one.
 */
#include "lib/agentproto/pattern.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LINE_MAX_BYTES = 4096 };

static bool search_in(const struct pattern *pattern, const uint8_t *line, size_t size, size_t piece)
{
    static struct pattern_search search;
    size_t at = 0;

    pattern_begin(&search);
    while (at < size && !search.matched) {
        size_t work = piece;
        size_t used = pattern_search(&search, pattern, line + at, size - at, &work);

        if (used == 0 || used > size - at)
            abort();
        at += used;
    }
    return search.matched || pattern_end(&search, pattern);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct pattern pattern;
    struct pattern_options options;
    char text[PATTERN_TEXT_MAX];
    const uint8_t *line;
    size_t length;

    if (size < 2 || size > LINE_MAX_BYTES || !(line = memchr(data + 1, '\n', size - 1)))
        return 0;
    length = (size_t)(line - data) - 1;
    if (length >= sizeof(text) || memchr(data + 1, '\0', length))
        return 0;
    memcpy(text, data + 1, length);
    text[length] = '\0';
    options = (struct pattern_options){.regex = data[0] & 1, .ignore_case = data[0] & 2};
    if (pattern_compile(&pattern, text, &options))
        return 0;
    line++;
    size -= (size_t)(line - data);
    if (search_in(&pattern, line, size, 1) != search_in(&pattern, line, size, SIZE_MAX))
        abort();
    return 0;
}
