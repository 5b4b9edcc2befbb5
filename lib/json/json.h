/*
 * JSON at the service's edge: bounded parsing, and request bodies decoded by tables.
 *
 * cJSON parses; before it, json_parse checks what cJSON takes on trust: size, nesting depth,
 * well-formed UTF-8, no NUL escape and no second value behind the first. After it, duplicate
 * members are refused, because two readers may pick different ones.
 *
 * A body is then decoded by a table of fields (name, type, range, offset): unknown members are
 * refused, and every complaint names the field and its limit.
 */
#ifndef LIB_JSON_JSON_H
#define LIB_JSON_JSON_H

#include <atoll/cleanup.h>
#include <atoll/error.h>
#include <atoll/id.h>
#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

DEFINE_CLEANUP(cJSON *, cjson, cJSON_Delete)
#define _cleanup_cjson_ _cleanup_(cleanup_cjson)

enum { JSON_DEPTH_MAX = 16 };

/* Parses exactly one JSON value. The result is the caller's. ERR_BAD_REQUEST tells what is wrong.
 */
int json_parse(const char *text, size_t size, cJSON **ret_value, struct error *err);

/* A nullable member (not `required` in an answer's table) shows null for these values. */
#define JSON_NULL_INTEGER INT64_MIN

enum json_type {
    JSON_TYPE_STRING,  /* `const char *` into the parsed value; range is its count of characters,
                          as in JSON Schema: each is up to four bytes */
    JSON_TYPE_INTEGER, /* `int64_t`; a number with a fraction is refused */
    JSON_TYPE_NUMBER,  /* `double` */
    JSON_TYPE_BOOL,    /* `bool` */
    JSON_TYPE_ID,      /* `struct id`: a string of 32 hex digits, dashes allowed */
    JSON_TYPE_TIME,    /* `int64_t`, Unix microseconds: a string in RFC 3339 */
    JSON_TYPE_RECORD,  /* a struct embedded at the offset, by the table `of` */
    JSON_TYPE_OBJECT,  /* `const cJSON *`; range is its member count */
    JSON_TYPE_ARRAY,   /* `const cJSON *`; range is its length */
    JSON_TYPE_STRINGS, /* `const cJSON *`: an array of strings; range is its length */
    JSON_TYPE_MAP,     /* `const cJSON *`: an object of strings; range is its member count */
    JSON_TYPE_ANY,     /* `const cJSON *`: any value but null */
};

struct json_table;

/*
 * One member of a request or an answer. Tables are written with designated initialisers; what is
 * left out is zero. The range is inclusive; for NUMBER it holds whole numbers.
 */
struct json_field {
    const char *name;
    enum json_type type;
    bool required; /* request: must be given. Answer: is never null */
    bool omitted;  /* answer: is left out where it would be null */
    int64_t min;
    int64_t max;
    size_t offset;       /* of the member in the struct; untouched when the field is absent */
    const char *choices; /* STRING: the allowed words, separated by '|'; NULL: any */
    const char *format;  /* for the API's description only, e.g. "uri"; NULL: none */
    const char *about;   /* one sentence for the API's description */
    const char *schema;  /* members of a JSON Schema, as JSON, for what is not said above and the
                            handler checks; for the API's description only; NULL: none */
    const struct json_table *of; /* RECORD: its members. ARRAY, MAP: of each entry, or NULL */
};

/* A named object of the API: requests are decoded by it, answers encoded, both described. */
struct json_table {
    const char *name; /* as the API's description calls it, e.g. "Sandbox" */
    const struct json_field *fields;
    size_t count;
    const char *schema; /* as a field's, for rules between the fields; NULL: none */
};

/* Declares `name_` as the table of the array `fields_`. */
#define JSON_TABLE(name_, fields_) JSON_TABLE_WITH(name_, fields_, NULL)
#define JSON_TABLE_WITH(name_, fields_, schema_)                                                   \
    {                                                                                              \
        (name_), (fields_), sizeof(fields_) / sizeof((fields_)[0]), (schema_)                      \
    }

/*
 * Decodes `object` into `target` by the table. `where` prefixes the field in complaints
 * ("files[3]", or "" at the top). What is decoded points into `object` and lives as long. Entries
 * of an ARRAY are the caller's to decode.
 */
int json_decode(const cJSON *object, const struct json_field *fields, size_t count,
                const char *where, void *target, struct error *err);

/*
 * Refuses `name`, which is no field of the table, with ERR_UNKNOWN_FIELD and names those that are,
 * as far as a message has room. `kind` is what they are called, "field" or "parameter"; `field` is
 * the error's.
 */
int json_refuse_unknown(const struct json_table *table, const char *kind, const char *field,
                        const char *name, struct error *err);

/*
 * Makes the object that `table` describes from the struct `source`. A `cJSON *` member (OBJECT,
 * ARRAY, STRINGS, MAP, ANY) is moved into the result and is NULL in `source` afterwards, also on
 * failure. Null is shown for a NULL pointer, a zero time, a zero id and JSON_NULL_INTEGER where
 * the field is not required; an `omitted` field is left out instead. Returns NULL when memory is
 * short; the result is the caller's.
 */
cJSON *json_encode(const struct json_table *table, void *source);

/*
 * Appends `item`, which is taken over in any case. When memory is short (`item` is NULL, or the
 * array was) the array is freed and NULL from then on: a loop needs no check of its own, as
 * json_encode refuses a required array that is NULL.
 */
void json_append(cJSON **array, cJSON *item);

/* JSON text under construction; zeroed at first. What cannot be added makes it `failed`. */
struct json_text {
    char *data; /* NUL-terminated; NULL while nothing was added */
    size_t size;
    size_t capacity;
    bool failed; /* memory was short: it is incomplete */
};

/* Adds bytes as they are. */
void json_text_add(struct json_text *text, const char *data, size_t size);
void json_text_free(struct json_text *text);
#define _cleanup_json_text_ _cleanup_(json_text_free)

/*
 * Writes what json_encode would make, without making it: for answers that are given often. In
 * `source` an OBJECT, ARRAY, STRINGS, MAP or ANY is a `const char *` instead: its JSON, as it is,
 * NULL for null. Names are written as they are, strings are escaped. A NUMBER that JSON does not
 * have is null.
 */
void json_write(struct json_text *text, const struct json_table *table, const void *source);

#endif
