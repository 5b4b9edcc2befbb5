/*
 * Output as server-sent events, one a line however long it is (docs/api/executor.md). A line is
 * kept until its end; one that grows long goes out as it comes, inside its one event, and what the
 * other stream writes meanwhile waits. Only where that grows beyond bounds too, or memory for it is
 * short, is a line cut in two.
 */
#ifndef SERVER_HANDLERS_EXECUTOR_LINES_H
#define SERVER_HANDLERS_EXECUTOR_LINES_H

#include "lib/json/json.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum executor_side { EXECUTOR_STDOUT, EXECUTOR_STDERR };

struct executor_lines_options {
    const char *event; /* the events' kind, a constant */
    bool has_time;     /* each tells when its line was begun */
    size_t kept;       /* so many bytes of an unfinished line are waited with */
    size_t waiting;    /* so many of the other stream while a long line goes out */
    /* Asked for the memory of what waits beyond `kept`, which is given back by the second. NULL: it
     * is there. */
    bool (*take_memory)(void *user, size_t size);
    void (*give_memory)(void *user, size_t size);
    void *memory_user;
};

struct executor_lines;

int executor_lines_new(const struct executor_lines_options *options,
                       struct executor_lines **ret_lines, struct error *err);
void executor_lines_free(struct executor_lines *lines); /* NULL is allowed */

/* Takes bytes read at `time_usec` (Unix time) and adds the events that they make to `text`. */
void executor_lines_add(struct executor_lines *lines, enum executor_side side, int64_t time_usec,
                        const char *bytes, size_t size, struct json_text *text);

/* Adds what is left: lines without an end. */
void executor_lines_end(struct executor_lines *lines, struct json_text *text);

#endif
