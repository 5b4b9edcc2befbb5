#include "server/handlers/executor_lines.h"

#include "lib/base/time.h"
#include "server/handlers/executor_text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDES = 2 };

/* What one stream wrote and no event has yet. */
struct side {
    struct json_text kept; /* raw bytes, in the growing buffer of JSON texts */
    size_t gone;           /* the first so many of them have gone out */
    int64_t time_usec;     /* when its line was begun */
    bool is_open;          /* its event was begun and not ended */
};

struct executor_lines {
    const char *event;
    bool has_time;
    struct side sides[SIDES];
};

int executor_lines_new(const char *event, bool has_time, struct executor_lines **ret_lines,
                       struct error *err)
{
    struct executor_lines *lines = calloc(1, sizeof(*lines));

    if (!lines)
        return error_set_errno(err, ENOMEM, "cannot follow a process");
    lines->event = event;
    lines->has_time = has_time;
    *ret_lines = lines;
    return 0;
}

void executor_lines_free(struct executor_lines *lines)
{
    if (!lines)
        return;
    for (size_t i = 0; i < SIDES; i++)
        json_text_free(&lines->sides[i].kept);
    free(lines);
}

static const char *left_of(const struct side *side)
{
    return side->kept.data + side->gone;
}

static size_t size_left(const struct side *side)
{
    return side->kept.size - side->gone;
}

/* Makes room of what has gone out. */
static void compact(struct side *side)
{
    if (side->gone == 0)
        return;
    side->kept.size -= side->gone;
    memmove(side->kept.data, side->kept.data + side->gone, side->kept.size);
    side->gone = 0;
}

static void open_event(const struct executor_lines *lines, struct side *side,
                       struct json_text *text)
{
    const char *stream = side == &lines->sides[EXECUTOR_STDOUT] ? "stdout" : "stderr";
    char time[TIME_TEXT_SIZE];
    char head[160];
    int size;

    if (side->is_open)
        return;
    time_format(side->time_usec, time);
    size = snprintf(head, sizeof(head), "event: %s\ndata: {%s%s%s\"stream\":\"%s\",\"data\":\"",
                    lines->event, lines->has_time ? "\"timestamp\":\"" : "",
                    lines->has_time ? time : "", lines->has_time ? "\"," : "", stream);
    json_text_add(text, head, (size_t)size);
    side->is_open = true;
}

static void close_event(struct side *side, struct json_text *text)
{
    static const char tail[] = "\"}\n\n";

    json_text_add(text, tail, sizeof(tail) - 1);
    side->is_open = false;
}

/* Ends the line of `size` bytes, of which `end` more end it; a carriage return is part of the end.
 */
static void put_line(const struct executor_lines *lines, struct side *side, size_t size, size_t end,
                     struct json_text *text)
{
    size_t shown = size;

    while (shown > 0 && left_of(side)[shown - 1] == '\r')
        shown--;
    open_event(lines, side, text);
    executor_text_add(text, left_of(side), shown);
    close_event(side, text);
    side->gone += size + end;
}

/* Sends what is kept of a long line, but for what may belong to its end. */
static void put_part(const struct executor_lines *lines, struct side *side, struct json_text *text)
{
    size_t size = size_left(side);

    while (size > 0 && left_of(side)[size - 1] == '\r')
        size--;
    size = size > 0 ? executor_text_whole(left_of(side), size) : 0;
    if (size == 0)
        return;
    open_event(lines, side, text);
    executor_text_add(text, left_of(side), size);
    side->gone += size;
}

static void put_lines(const struct executor_lines *lines, struct side *side, struct json_text *text)
{
    const char *end;

    while (size_left(side) > 0 && (end = memchr(left_of(side), '\n', size_left(side))))
        put_line(lines, side, (size_t)(end - left_of(side)), 1, text);
    if (side->is_open || size_left(side) > EXECUTOR_LINE_KEPT)
        put_part(lines, side, text);
    compact(side);
}

/* What the other stream has kept goes out as far as this one leaves room for it. */
static void put_all(struct executor_lines *lines, struct side *side, struct json_text *text)
{
    struct side *other = &lines->sides[side == &lines->sides[0] ? 1 : 0];

    if (other->is_open && size_left(side) <= EXECUTOR_LINE_WAITING)
        return;
    if (other->is_open)
        close_event(other, text); /* the rest of its line becomes another event */
    put_lines(lines, side, text);
    if (!side->is_open)
        put_lines(lines, other, text);
}

void executor_lines_add(struct executor_lines *lines, enum executor_side which, int64_t time_usec,
                        const char *bytes, size_t size, struct json_text *text)
{
    struct side *side = &lines->sides[which];

    if (size_left(side) == 0 && !side->is_open)
        side->time_usec = time_usec;
    json_text_add(&side->kept, bytes, size);
    put_all(lines, side, text);
    if (memchr(bytes, '\n', size))
        side->time_usec = time_usec; /* the next line was begun in these bytes at the earliest */
    text->failed |= side->kept.failed;
}

void executor_lines_end(struct executor_lines *lines, struct json_text *text)
{
    size_t first = lines->sides[EXECUTOR_STDERR].is_open ? EXECUTOR_STDERR : EXECUTOR_STDOUT;

    for (size_t i = 0; i < SIDES; i++) {
        struct side *side = &lines->sides[(first + i) % SIDES];

        put_lines(lines, side, text);
        if (side->is_open || size_left(side) > 0)
            put_line(lines, side, size_left(side), 0, text);
    }
}
