/*
 * JSON Schemas (draft 2020-12, as OpenAPI 3.1 has them) of the tables that requests are decoded and
 * answers are encoded by. Each table becomes one named component, to which others refer.
 */
#ifndef SERVER_ROUTES_SCHEMA_H
#define SERVER_ROUTES_SCHEMA_H

#include "lib/json/json.h"

/* The same table says different things of the two: in a request, a field that is not required may
 * be left out or null; an answer has every field. */
enum schema_use { SCHEMA_ANSWER, SCHEMA_REQUEST };

enum { SCHEMA_TABLES_MAX = 512 };

/* The components made so far. */
struct schema_set {
    cJSON *components; /* "components.schemas" of the document; not owned */
    struct {
        const struct json_table *table;
        enum schema_use use;
    } made[SCHEMA_TABLES_MAX];
    size_t count;
    struct error *err; /* filled by the first failure; `failed` tells of it */
    bool failed;
};

/*
 * A schema that refers to the component of `table`, which is made when it is not there. A table
 * that answers and requests share has two components; the answer's must be asked for first, the
 * request's has "Input" behind its name. The result is the caller's; NULL on failure.
 */
cJSON *schema_of_table(struct schema_set *set, const struct json_table *table, enum schema_use use);

/* The schema of one field, or parameter. The result is the caller's; NULL on failure. */
cJSON *schema_of_field(struct schema_set *set, const struct json_field *field, enum schema_use use);

/* Adds `value`, which may be NULL after a failure, to an object. Takes `value`: it is gone when
 * this is false. */
bool schema_put(struct schema_set *set, cJSON *object, const char *name, cJSON *value);

/* The value of a JSON text that is part of the program. */
cJSON *schema_literal(struct schema_set *set, const char *text);

/* The pattern of ids, as id_parse has it. */
#define SCHEMA_ID_PATTERN                                                                          \
    "^[0-9a-fA-F]{8}(?:[0-9a-fA-F]{24}|-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-"             \
    "[0-9a-fA-F]{12})$"

#endif
