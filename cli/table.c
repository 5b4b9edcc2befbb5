#include "cli/table.h"

#include "cli/format.h"
#include "cli/plain.h"
#include "lib/base/time.h"

#include <atoll/cleanup.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { GAP = 2, DEPTH_MAX = 4, NAME_SIZE = 160 };

const cJSON *table_member(const cJSON *object, const char *path)
{
    while (object && *path != '\0') {
        size_t length = strcspn(path, ".");
        char name[NAME_SIZE] = "";

        if (length >= sizeof(name))
            return NULL;
        memcpy(name, path, length);
        object = cJSON_GetObjectItemCaseSensitive(object, name);
        path += length + (path[length] == '.');
    }
    return object;
}

static char *age_text(const char *time, int64_t now_usec)
{
    char text[FORMAT_SIZE];
    int64_t usec;

    if (!time_parse(time, &usec))
        return strdup("-");
    format_age(now_usec > usec ? (now_usec - usec) / 1000000 : 0, text);
    return strdup(text);
}

/* Sizes and cores are not negative. */
static int64_t nearest(double number)
{
    return number > 0 && number < 1e15 ? (int64_t)(number + 0.5) : 0;
}

static char *number_text(double number, enum column_format format)
{
    char text[FORMAT_SIZE];

    switch (format) {
    case COLUMN_CORES:
        format_cores(nearest(number * 1000), text);
        break;
    case COLUMN_MILLI:
        format_cores(nearest(number), text);
        break;
    case COLUMN_SIZE:
        format_mebibytes(nearest(number), text);
        break;
    case COLUMN_TEXT:
    case COLUMN_AGE:
        (void)snprintf(text, sizeof(text), "%.15g", number);
        break;
    }
    return strdup(text);
}

/* The caller's; NULL when memory is short. */
static char *value_text(const cJSON *value, enum column_format format, int64_t now_usec)
{
    if (!value || cJSON_IsNull(value))
        return strdup("-");
    if (cJSON_IsString(value))
        return format == COLUMN_AGE ? age_text(value->valuestring, now_usec)
                                    : strdup(value->valuestring);
    if (cJSON_IsNumber(value))
        return number_text(value->valuedouble, format);
    return cJSON_PrintUnformatted(value);
}

/* Characters, not bytes: of UTF-8, what is no continuation. */
static size_t width_of(const char *text)
{
    size_t width = 0;

    for (; *text != '\0'; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

static void print_cell(FILE *out, const char *text, size_t width, bool last)
{
    (void)fprintf(out, "%s%*s", text, last ? 0 : (int)(width - width_of(text) + GAP), "");
}

/* All cells of the items, row by row; the caller's. NULL entries are "". */
static char **make_cells(const cJSON *items, const struct column *columns, size_t count,
                         int64_t now_usec)
{
    char **cells = calloc((size_t)cJSON_GetArraySize(items) * count + 1, sizeof(*cells));
    const cJSON *item;
    size_t at = 0;

    if (!cells)
        return NULL;
    cJSON_ArrayForEach(item, items)
    {
        for (size_t i = 0; i < count; i++, at++) {
            cells[at] =
                value_text(table_member(item, columns[i].member), columns[i].format, now_usec);
            if (cells[at])
                plain_text(cells[at]);
        }
    }
    return cells;
}

static size_t column_width(char *const *cells, size_t rows, size_t count, size_t column,
                           const char *title)
{
    size_t width = width_of(title);

    for (size_t row = 0; row < rows; row++) {
        const char *text = cells[row * count + column];

        if (text && width_of(text) > width)
            width = width_of(text);
    }
    return width;
}

void table_print(FILE *out, const cJSON *items, const struct column *columns, size_t count,
                 int64_t now_usec)
{
    size_t rows = (size_t)cJSON_GetArraySize(items);
    char **cells = make_cells(items, columns, count, now_usec);
    _cleanup_free_ size_t *widths = calloc(count, sizeof(*widths));

    for (size_t i = 0; cells && widths && i < count; i++) {
        widths[i] = column_width(cells, rows, count, i, columns[i].title);
        print_cell(out, columns[i].title, widths[i], i + 1 == count);
    }
    (void)fputc('\n', out);
    for (size_t at = 0; cells && widths && at < rows * count; at++) {
        bool last = at % count + 1 == count;

        print_cell(out, cells[at] ? cells[at] : "", widths[at % count], last);
        if (last)
            (void)fputc('\n', out);
        free(cells[at]);
    }
    free(cells);
}

char *table_value_text(const cJSON *value, enum column_format format)
{
    char *text = value_text(value, format, 0);

    if (text)
        plain_text(text);
    return text;
}

void table_print_row(FILE *out, const cJSON *item, const struct column *columns, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        _cleanup_free_ char *text =
            table_value_text(table_member(item, columns[i].member), columns[i].format);

        (void)fprintf(out, "%s%s", text ? text : "", i + 1 < count ? "  " : "\n");
    }
}

static void print_members(FILE *out, const cJSON *object, const char *prefix, int depth)
{
    const cJSON *member;

    cJSON_ArrayForEach(member, object)
    {
        _cleanup_free_ char *text = NULL;
        char name[NAME_SIZE];

        (void)snprintf(name, sizeof(name), "%s%s%s", prefix, prefix[0] ? "." : "",
                       member->string ? member->string : "");
        plain_text(name);
        if (cJSON_IsObject(member) && depth < DEPTH_MAX) {
            print_members(out, member, name, depth + 1);
            continue;
        }
        text = table_value_text(member, COLUMN_TEXT);
        (void)fprintf(out, "%-18s %s\n", name, text ? text : "");
    }
}

void table_print_object(FILE *out, const cJSON *object)
{
    print_members(out, object, "", 0);
}
