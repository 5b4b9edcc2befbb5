/*
 * What the service answers, for people: lists as aligned columns, objects as lines. Columns are
 * data: a title, the member that it shows, and how.
 *
 * Text of the service is a tenant's: what a terminal would obey of it shows as '?' (plain.h).
 */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include "lib/json/json.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum column_format {
    COLUMN_TEXT,  /* as it is; null as "-" */
    COLUMN_AGE,   /* a time, as how long ago */
    COLUMN_CORES, /* a number of cores */
    COLUMN_MILLI, /* a number of thousandths of a core */
    COLUMN_SIZE,  /* a number of MiB */
};

struct column {
    const char *title;
    const char *member; /* "resources.cpu" is a member of a member */
    enum column_format format;
};

/* Prints the items' rows under the titles. `now_usec` is Unix microseconds, for ages. */
void table_print(FILE *out, const cJSON *items, const struct column *columns, size_t count,
                 int64_t now_usec);

/* One row, without widths: what comes next is not known. */
void table_print_row(FILE *out, const cJSON *item, const struct column *columns, size_t count);

/* A member as a cell shows it, the caller's; NULL when memory is short. */
char *table_value_text(const cJSON *value, enum column_format format);

/* Prints an object's members, one a line, those of its objects as "outer.inner". */
void table_print_object(FILE *out, const cJSON *object);

/* The member at a path; NULL when it is not there. */
const cJSON *table_member(const cJSON *object, const char *path);

#endif
