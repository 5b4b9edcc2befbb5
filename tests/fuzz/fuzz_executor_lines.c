/*
 * Output of programs as an event stream: whatever bytes come in whatever pieces, each event is one
 * line of JSON, and each stream's letters come out as often as they went in.
 *
 * The input is pieces: a byte for the stream (its lowest bit) and the length (the rest), then
 * bytes.
 */
#include "lib/base/util.h"
#include "server/handlers/executor_lines.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SIDES = 2, PIECE_MAX = 127, KEPT = 24, WAITING = 64 };

static const char head[] = "event: output\ndata: ";

static size_t count_letters(const char *bytes, size_t size)
{
    size_t count = 0;

    for (size_t i = 0; i < size; i++)
        count += bytes[i] >= 'a' && bytes[i] <= 'z';
    return count;
}

static void take_data(const char *line, size_t size, size_t out[static SIDES])
{
    _cleanup_cjson_ cJSON *event = NULL;
    const char *stream;
    const char *text;
    struct error err;

    if (json_parse(line, size, &event, &err) < 0 || cJSON_GetArraySize(event) != SIDES)
        abort();
    stream = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(event, "stream"));
    text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(event, "data"));
    if (!stream || !text)
        abort();
    out[strcmp(stream, "stderr") == 0] += count_letters(text, strlen(text));
}

static void take_events(const struct json_text *text, size_t out[static SIDES])
{
    const char *at = text->data;
    size_t left = text->size;

    while (left > 0) {
        const char *end;
        size_t size;

        if (left < sizeof(head) || memcmp(at, head, sizeof(head) - 1) != 0)
            abort();
        at += sizeof(head) - 1;
        left -= sizeof(head) - 1;
        end = memchr(at, '\n', left);
        if (!end || end + 1 == at + left || end[1] != '\n')
            abort();
        size = (size_t)(end - at);
        take_data(at, size, out);
        at += size + 2;
        left -= size + 2;
    }
}

/* Feeds one piece; returns how much of the input it was. A NUL is what our own parser refuses. */
static size_t feed(struct executor_lines *lines, const uint8_t *data, size_t size,
                   size_t in[static SIDES], struct json_text *text)
{
    enum executor_side side = data[0] & 1u ? EXECUTOR_STDERR : EXECUTOR_STDOUT;
    size_t length = data[0] >> 1;
    char bytes[PIECE_MAX];

    if (length > size - 1)
        length = size - 1;
    for (size_t i = 0; i < length; i++)
        bytes[i] = data[i + 1] ? (char)data[i + 1] : 1;
    if (length > 0)
        executor_lines_add(lines, side, 0, bytes, length, text);
    in[side] += count_letters(bytes, length);
    return length + 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_json_text_ struct json_text text = {.data = NULL};
    size_t in[SIDES] = {0};
    size_t out[SIDES] = {0};
    const struct executor_lines_options options = {
        .event = "output", .kept = KEPT, .waiting = WAITING};
    struct executor_lines *lines;

    if (executor_lines_new(&options, &lines, NULL) < 0)
        abort();
    while (size > 0) {
        size_t used = feed(lines, data, size, in, &text);

        data += used;
        size -= used;
    }
    executor_lines_end(lines, &text);
    executor_lines_free(lines);
    take_events(&text, out);
    if (text.failed || memcmp(in, out, sizeof(in)) != 0)
        abort();
    return 0;
}
