/*
 * Output of a command as events of the container dialect, one a line (docs/api/containers.md). A
 * line is kept until its end has come; of one that grows long, what is there goes out as an event
 * of its own.
 */
#ifndef SERVER_HANDLERS_PROJECT_CONTAINER_LINES_H
#define SERVER_HANDLERS_PROJECT_CONTAINER_LINES_H

#include "lib/json/json.h"

#include <stddef.h>

enum { PROJECT_CONTAINER_LINE_MAX = 64 << 10 }; /* bytes of a line that are kept */

enum project_container_side { PROJECT_CONTAINER_STDOUT, PROJECT_CONTAINER_STDERR };

struct project_container_lines;

/* NULL when memory is short. */
struct project_container_lines *project_container_lines_new(void);
void project_container_lines_free(struct project_container_lines *lines); /* NULL is allowed */

/* Takes bytes of one stream and adds the events that they make to `text`. */
void project_container_lines_add(struct project_container_lines *lines,
                                 enum project_container_side side, const char *bytes, size_t size,
                                 struct json_text *text);

/* Adds what is left: lines without an end. */
void project_container_lines_end(struct project_container_lines *lines, struct json_text *text);

#endif
