#include "server/handlers/executor_lines.h"

#include "lib/base/time.h"
#include "server/handlers/executor_text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SIDES = 2,
    RETURNS_HELD = 16, /* carriage returns that may belong to the end of a long line */
    MEMORY_UNIT = 64 * 1024,
    CAPACITY_KEPT = 128 * 1024, /* of a buffer that held more for a while */
};

/* What one stream wrote and no event has yet. */
struct side {
    struct json_text kept; /* raw bytes, in the growing buffer of JSON texts */
    size_t gone;           /* the first so many of them have gone out */
    size_t looked;         /* the first so many of them have no end of line that has not gone out */
    int64_t time_usec;     /* when its line was begun */
    bool is_open;          /* its event was begun and not ended */
};

struct executor_lines {
    struct executor_lines_options options;
    struct side sides[SIDES];
    size_t taken; /* of the memory that is asked for */
};

int executor_lines_new(const struct executor_lines_options *options,
                       struct executor_lines **ret_lines, struct error *err)
{
    struct executor_lines *lines = calloc(1, sizeof(*lines));

    if (!lines)
        return error_set_errno(err, ENOMEM, "cannot follow a process");
    lines->options = *options;
    *ret_lines = lines;
    return 0;
}

static void give_back(struct executor_lines *lines)
{
    if (lines->taken > 0)
        lines->options.give_memory(lines->options.memory_user, lines->taken);
    lines->taken = 0;
}

void executor_lines_free(struct executor_lines *lines)
{
    if (!lines)
        return;
    give_back(lines);
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
    side->looked -= side->gone;
    side->gone = 0;
}

static void open_event(const struct executor_lines *lines, struct side *side,
                       struct json_text *text)
{
    const struct executor_lines_options *options = &lines->options;
    const char *stream = side == &lines->sides[EXECUTOR_STDOUT] ? "stdout" : "stderr";
    char time[TIME_TEXT_SIZE];
    char head[160];
    int size;

    if (side->is_open)
        return;
    time_format(side->time_usec, time);
    size = snprintf(head, sizeof(head), "event: %s\ndata: {%s%s%s\"stream\":\"%s\",\"data\":\"",
                    options->event, options->has_time ? "\"timestamp\":\"" : "",
                    options->has_time ? time : "", options->has_time ? "\"," : "", stream);
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
    side->looked = side->gone;
}

/* Sends what is kept of a long line, but for what may belong to its end. */
static void put_part(const struct executor_lines *lines, struct side *side, struct json_text *text)
{
    size_t size = size_left(side);
    size_t held = 0;

    while (size > 0 && held < RETURNS_HELD && left_of(side)[size - 1] == '\r') {
        size--;
        held++;
    }
    size = size > 0 ? executor_text_whole(left_of(side), size) : 0;
    if (size == 0)
        return;
    open_event(lines, side, text);
    executor_text_add(text, left_of(side), size);
    side->gone += size;
}

/* The end of the line that is next to go out; NULL while it has not come. */
static const char *find_end(struct side *side)
{
    size_t left = side->kept.size - side->looked;
    const char *end = left > 0 ? memchr(side->kept.data + side->looked, '\n', left) : NULL;

    if (!end)
        side->looked = side->kept.size;
    return end;
}

static void put_lines(const struct executor_lines *lines, struct side *side, struct json_text *text)
{
    const char *end;

    while ((end = find_end(side)))
        put_line(lines, side, (size_t)(end - left_of(side)), 1, text);
    if (side->is_open || size_left(side) > lines->options.kept)
        put_part(lines, side, text);
    compact(side);
}

/* Whether what the stream wrote may wait while a long line of the other one goes out. */
static bool may_wait(struct executor_lines *lines, const struct side *side)
{
    const struct executor_lines_options *options = &lines->options;
    size_t size = size_left(side);

    if (size > options->waiting)
        return false;
    while (options->take_memory && lines->taken + options->kept < size) {
        if (!options->take_memory(options->memory_user, MEMORY_UNIT))
            return false;
        lines->taken += MEMORY_UNIT;
    }
    return true;
}

static void shrink(struct json_text *kept)
{
    char *smaller;

    if (kept->capacity <= CAPACITY_KEPT || kept->size > CAPACITY_KEPT / 2)
        return;
    smaller = realloc(kept->data, CAPACITY_KEPT);
    if (!smaller)
        return;
    kept->data = smaller;
    kept->capacity = CAPACITY_KEPT;
}

/* Something has gone out: gives back what is not needed any more. */
static void settle(struct executor_lines *lines)
{
    bool waits = false;

    for (size_t i = 0; i < SIDES; i++) {
        shrink(&lines->sides[i].kept);
        waits = waits || size_left(&lines->sides[i]) > lines->options.kept;
    }
    if (!waits)
        give_back(lines);
}

/* What the other stream has kept goes out as far as this one leaves room for it. */
static void put_all(struct executor_lines *lines, struct side *side, struct json_text *text)
{
    struct side *other = &lines->sides[side == &lines->sides[0] ? 1 : 0];

    if (other->is_open && may_wait(lines, side))
        return;
    if (other->is_open)
        close_event(other, text); /* the rest of its line becomes another event */
    put_lines(lines, side, text);
    if (!side->is_open)
        put_lines(lines, other, text);
    settle(lines);
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
