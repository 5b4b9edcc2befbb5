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

enum json_type {
    JSON_TYPE_STRING,  /* `const char *` into the parsed value; range is its length in bytes */
    JSON_TYPE_INTEGER, /* `int64_t`; a number with a fraction is refused */
    JSON_TYPE_BOOL,    /* `bool` */
    JSON_TYPE_OBJECT,  /* `const cJSON *`; range is its member count */
    JSON_TYPE_ARRAY,   /* `const cJSON *`; range is its length */
};

struct json_field {
    const char *name;
    enum json_type type;
    bool required;
    int64_t min;
    int64_t max;
    size_t offset; /* of the member in the target struct; untouched when the field is absent */
};

/*
 * Decodes `object` into `target` by the table. `where` prefixes the field in complaints
 * ("files[3]", or "" at the top). What is decoded points into `object` and lives as long.
 */
int json_decode(const cJSON *object, const struct json_field *fields, size_t count,
                const char *where, void *target, struct error *err);

#endif
