#include "server/handlers/project_container_lines.h"

#include "lib/base/base64.h"
#include "lib/base/util.h"
#include "server/handlers/executor_text.h"

#include <stdlib.h>
#include <string.h>

enum { SIDES = 2 };

struct project_container_lines {
    struct json_text kept[SIDES]; /* raw bytes of each stream's last line, whose end has not come */
};

struct project_container_lines *project_container_lines_new(void)
{
    return calloc(1, sizeof(struct project_container_lines));
}

void project_container_lines_free(struct project_container_lines *lines)
{
    if (!lines)
        return;
    for (size_t i = 0; i < SIDES; i++)
        json_text_free(&lines->kept[i]);
    free(lines);
}

static void put(struct json_text *text, const char *data)
{
    json_text_add(text, data, strlen(data));
}

/* The exact bytes, beside a text that does not show them. */
static void put_base64(struct json_text *text, const char *bytes, size_t size)
{
    _cleanup_free_ char *base64 = base64_encode(bytes, size);

    text->failed |= !base64;
    if (!base64)
        return;
    put(text, "\",\"data_base64\":\"");
    put(text, base64);
}

static void put_event(enum project_container_side side, const char *bytes, size_t size,
                      struct json_text *text)
{
    put(text, side == PROJECT_CONTAINER_STDERR ? "data: {\"type\":\"stderr\",\"data\":\""
                                               : "data: {\"type\":\"stdout\",\"data\":\"");
    executor_text_add(text, bytes, size);
    if (!utf8_valid(bytes, size))
        put_base64(text, bytes, size);
    put(text, "\"}\n\n");
}

/* Ends the line that is kept by the bytes up to its end. */
static void put_line(enum project_container_side side, struct json_text *kept, const char *bytes,
                     size_t size, struct json_text *text)
{
    if (kept->size == 0) {
        put_event(side, bytes, size, text);
        return;
    }
    json_text_add(kept, bytes, size);
    put_event(side, kept->data, kept->size, text);
    kept->size = 0;
}

/* Keeps what has no end yet. What is too much to keep goes out, but for a character that is cut. */
static void keep(enum project_container_side side, struct json_text *kept, const char *bytes,
                 size_t size, struct json_text *text)
{
    size_t whole;

    json_text_add(kept, bytes, size);
    if (kept->size <= PROJECT_CONTAINER_LINE_MAX)
        return;
    whole = executor_text_whole(kept->data, kept->size);
    put_event(side, kept->data, whole, text);
    kept->size -= whole;
    memmove(kept->data, kept->data + whole, kept->size);
}

void project_container_lines_add(struct project_container_lines *lines,
                                 enum project_container_side side, const char *bytes, size_t size,
                                 struct json_text *text)
{
    struct json_text *kept = &lines->kept[side];
    const char *limit = bytes + size;
    const char *end;

    while (bytes < limit && (end = memchr(bytes, '\n', (size_t)(limit - bytes))) != NULL) {
        put_line(side, kept, bytes, (size_t)(end - bytes), text);
        bytes = end + 1;
    }
    if (bytes < limit)
        keep(side, kept, bytes, (size_t)(limit - bytes), text);
    text->failed |= kept->failed;
}

static void end_side(struct project_container_lines *lines, enum project_container_side side,
                     struct json_text *text)
{
    struct json_text *kept = &lines->kept[side];

    if (kept->size > 0)
        put_event(side, kept->data, kept->size, text);
    kept->size = 0;
}

void project_container_lines_end(struct project_container_lines *lines, struct json_text *text)
{
    end_side(lines, PROJECT_CONTAINER_STDOUT, text);
    end_side(lines, PROJECT_CONTAINER_STDERR, text);
}
