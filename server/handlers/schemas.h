/*
 * What handlers check beyond a field's type and range, as members of its JSON Schema.
 * tests/integration/test_openapi.py holds the two together: what the description allows is
 * accepted, what it forbids refused.
 */
#ifndef SERVER_HANDLERS_SCHEMAS_H
#define SERVER_HANDLERS_SCHEMAS_H

/* A rule for a table: not both of two names of one thing. Null counts as not given. */
#define SCHEMA_NOT_BOTH(a, b)                                                                      \
    "{\"not\":{\"required\":[\"" a "\",\"" b "\"],\"properties\":{"                                \
    "\"" a "\":{\"not\":{\"type\":\"null\"}},\"" b "\":{\"not\":{\"type\":\"null\"}}}}}"

/* environment_check: names of variables, and their values. */
#define SCHEMA_VARIABLE_NAMES                                                                      \
    "\"propertyNames\":{\"pattern\":\"^[A-Za-z_][A-Za-z0-9_]*$\",\"maxLength\":255}"
#define SCHEMA_VARIABLES                                                                           \
    "{" SCHEMA_VARIABLE_NAMES ",\"additionalProperties\":{\"type\":\"string\"}}"
#define SCHEMA_VARIABLE_CHANGES                                                                    \
    "{" SCHEMA_VARIABLE_NAMES ",\"additionalProperties\":{\"type\":[\"string\",\"null\"]}}"

/* What sandboxes take: labels, commands, sizes, capabilities. */
#define SCHEMA_LABELS                                                                              \
    "{\"propertyNames\":{\"pattern\":\"^[A-Za-z0-9._/-]{1,63}$\"},"                                \
    "\"additionalProperties\":{\"type\":\"string\",\"maxLength\":255}}"
#define SCHEMA_ARGUMENTS                                                                           \
    "{\"anyOf\":[{\"type\":\"null\"},{\"type\":\"string\"},{\"type\":\"array\",\"maxItems\":256,"  \
    "\"prefixItems\":[{\"type\":\"string\",\"minLength\":1}],\"items\":{\"type\":\"string\"}}]}"
/* One that must be given. */
#define SCHEMA_COMMAND                                                                             \
    "{\"anyOf\":[{\"type\":\"string\",\"minLength\":1},{\"type\":\"array\",\"minItems\":1,"        \
    "\"maxItems\":256,\"prefixItems\":[{\"type\":\"string\",\"minLength\":1}],"                    \
    "\"items\":{\"type\":\"string\"}}]}"
/* `integer` bounds the MiB; the text's pattern stands for the same. */
#define SCHEMA_SIZE(integer)                                                                       \
    "{\"anyOf\":[{\"type\":\"null\"},{\"type\":\"integer\"," integer "},{\"type\":\"string\","     \
    "\"pattern\":\"^(?:(?:1[6-9]|[2-9][0-9]|[1-9][0-9]{2,5})[mM]|[1-9][0-9]{0,2}[gG])[bB]?$\"}]}"

/* A user: a name inside the sandbox, of visible characters, which is no number and has no colon; or
 * uid:gid. */
#define SCHEMA_ID_NUMBER                                                                           \
    "([0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
#define SCHEMA_USER                                                                                \
    "{\"pattern\":\"^([ -9;-~]*[ -,./;-~][ -9;-~]*|" SCHEMA_ID_NUMBER ":" SCHEMA_ID_NUMBER ")$\"}"

#define SCHEMA_CAPABILITIES "{\"items\":{\"type\":\"string\",\"pattern\":\"^[A-Z_]{1,32}$\"}}"

#endif
