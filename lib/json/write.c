#include "lib/base/time.h"
#include "lib/base/util.h"
#include "lib/json/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FIRST_CAPACITY = 1024, /* more than most answers have */
    NUMBER_MAX = 32,
};

/* Integers up to here are exact in a double, and shorter than an exponent makes them. */
static const double exact_max = 1e15;

static bool reserve(struct json_text *text, size_t more)
{
    size_t capacity = text->capacity ? text->capacity : FIRST_CAPACITY;
    char *larger;

    if (text->failed)
        return false;
    if (text->capacity - text->size > more) /* and a NUL */
        return true;
    while (capacity - text->size <= more)
        capacity *= 2;
    larger = realloc(text->data, capacity);
    text->failed = !larger;
    if (!larger)
        return false;
    text->data = larger;
    text->capacity = capacity;
    return true;
}

void json_text_add(struct json_text *text, const char *data, size_t size)
{
    if (!reserve(text, size))
        return;
    memcpy(text->data + text->size, data, size);
    text->size += size;
    text->data[text->size] = '\0';
}

void json_text_free(struct json_text *text)
{
    free(text->data);
    *text = (struct json_text){.data = NULL};
}

static void add_text(struct json_text *text, const char *data)
{
    json_text_add(text, data, strlen(data));
}

/* The letter behind the backslash; 0: it stands for itself, 'u': by its number. */
static char escape_of(unsigned char c)
{
    static const char letters[] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};

    if (c == '"' || c == '\\')
        return (char)c;
    if (c >= 0x20)
        return 0;
    return c < sizeof(letters) && letters[c] ? letters[c] : 'u';
}

static void add_escaped(struct json_text *text, unsigned char c, char letter)
{
    char escape[8];
    int size = letter == 'u' ? snprintf(escape, sizeof(escape), "\\u%04x", c)
                             : snprintf(escape, sizeof(escape), "\\%c", letter);

    json_text_add(text, escape, (size_t)size);
}

/* RFC 8259, section 7: quotes, backslashes and control characters are escaped. */
static void add_string(struct json_text *text, const char *string)
{
    const char *clean = string;

    json_text_add(text, "\"", 1);
    for (; *string != '\0'; string++) {
        char letter = escape_of((unsigned char)*string);

        if (!letter)
            continue;
        json_text_add(text, clean, (size_t)(string - clean));
        add_escaped(text, (unsigned char)*string, letter);
        clean = string + 1;
    }
    json_text_add(text, clean, (size_t)(string - clean));
    json_text_add(text, "\"", 1);
}

static void add_integer(struct json_text *text, int64_t value)
{
    char digits[NUMBER_MAX];
    char *at = digits + sizeof(digits);
    uint64_t left = value < 0 ? -(uint64_t)value : (uint64_t)value;

    do
        *--at = (char)('0' + left % 10);
    while ((left /= 10) > 0);
    if (value < 0)
        *--at = '-';
    json_text_add(text, at, (size_t)(digits + sizeof(digits) - at));
}

/* The shortest of the usual two precisions that reads back as the same number. */
static void add_number(struct json_text *text, double value)
{
    char digits[NUMBER_MAX];

    if (!isfinite(value)) {
        add_text(text, "null");
        return;
    }
    if (fabs(value) < exact_max && value == (double)(int64_t)value) {
        add_integer(text, (int64_t)value);
        return;
    }
    (void)snprintf(digits, sizeof(digits), "%.15g", value);
    if (strtod(digits, NULL) != value)
        (void)snprintf(digits, sizeof(digits), "%.17g", value);
    add_text(text, digits);
}

static void add_id(struct json_text *text, const struct id *id)
{
    char digits[ID_TEXT_SIZE];

    id_format(id, digits);
    add_string(text, digits);
}

static void add_time(struct json_text *text, int64_t usec)
{
    char time[TIME_TEXT_SIZE];

    time_format(usec, time);
    add_string(text, time);
}

static bool is_null(const struct json_field *field, const void *member)
{
    static const struct id none;
    const char *pointer;
    int64_t integer;

    switch (field->type) {
    case JSON_TYPE_INTEGER:
        memcpy(&integer, member, sizeof(integer));
        return !field->required && integer == JSON_NULL_INTEGER;
    case JSON_TYPE_TIME:
        memcpy(&integer, member, sizeof(integer));
        return !field->required && integer == 0;
    case JSON_TYPE_ID:
        return !field->required && memcmp(member, &none, sizeof(none)) == 0;
    case JSON_TYPE_NUMBER:
    case JSON_TYPE_BOOL:
    case JSON_TYPE_RECORD:
        return false;
    case JSON_TYPE_STRING:
    case JSON_TYPE_OBJECT:
    case JSON_TYPE_ARRAY:
    case JSON_TYPE_STRINGS:
    case JSON_TYPE_MAP:
    case JSON_TYPE_ANY:
        memcpy(&pointer, member, sizeof(pointer));
        return !pointer;
    }
    return true;
}

/* A member that is not null. Its place in the struct has its type's alignment. */
static void add_value(struct json_text *text, const struct json_field *field, const void *member)
{
    switch (field->type) {
    case JSON_TYPE_STRING:
        add_string(text, *(const char *const *)member);
        break;
    case JSON_TYPE_INTEGER:
        add_integer(text, *(const int64_t *)member);
        break;
    case JSON_TYPE_NUMBER:
        add_number(text, *(const double *)member);
        break;
    case JSON_TYPE_BOOL:
        add_text(text, *(const bool *)member ? "true" : "false");
        break;
    case JSON_TYPE_ID:
        add_id(text, member);
        break;
    case JSON_TYPE_TIME:
        add_time(text, *(const int64_t *)member);
        break;
    case JSON_TYPE_RECORD:
        json_write(text, field->of, member);
        break;
    case JSON_TYPE_OBJECT:
    case JSON_TYPE_ARRAY:
    case JSON_TYPE_STRINGS:
    case JSON_TYPE_MAP:
    case JSON_TYPE_ANY:
        add_text(text, *(const char *const *)member);
        break;
    }
}

void json_write(struct json_text *text, const struct json_table *table, const void *source)
{
    const char *before = "{\"";

    for (size_t i = 0; i < table->count; i++) {
        const struct json_field *field = &table->fields[i];
        const void *member = (const char *)source + field->offset;
        bool null = is_null(field, member);

        if (null && field->omitted)
            continue;
        json_text_add(text, before, 2);
        add_text(text, field->name);
        json_text_add(text, "\":", 2);
        if (null)
            json_text_add(text, "null", 4);
        else
            add_value(text, field, member);
        before = ",\"";
    }
    add_text(text, before[0] == '{' ? "{}" : "}");
}
