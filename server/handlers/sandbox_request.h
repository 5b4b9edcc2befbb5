/*
 * Bodies of the sandbox-service dialect, decoded and checked by tables: what leaves here is a
 * definition that every later layer can rely on.
 */
#ifndef SERVER_HANDLERS_SANDBOX_REQUEST_H
#define SERVER_HANDLERS_SANDBOX_REQUEST_H

#include "lib/json/json.h"

#include <atoll/sandbox.h>

/* Limits that come from the configuration. */
struct sandbox_limits {
    uint32_t default_timeout_ms;
    uint32_t max_timeout_ms;
    uint32_t default_memory_mb;
    uint32_t max_memory_mb;
};

enum { SANDBOX_CODE_MAX = 1 << 20, SANDBOX_FILES_MAX = 1000, SANDBOX_PAGE_MAX = 1000 };

/* sandbox_path_resolve: a path names a file (does not end in a slash), without a segment "..". */
#define SANDBOX_ANYTHING "[\\\\s\\\\S]*"
#define SANDBOX_PATH_PATTERN                                                                       \
    "(?!\\\\.$)(?!(?:" SANDBOX_ANYTHING "/)?\\\\.\\\\.(?:/|$))" SANDBOX_ANYTHING "[^/]"
#define SANDBOX_PATH_SCHEMA "{\"pattern\":\"^" SANDBOX_PATH_PATTERN "$\"}"

/* An entry point is a path, or a command line with white space in it. */
#define SANDBOX_ENTRY_POINT_SCHEMA                                                                 \
    "{\"pattern\":\"^(?:" SANDBOX_ANYTHING "[ \\\\t\\\\n]" SANDBOX_ANYTHING                        \
    "|" SANDBOX_PATH_PATTERN ")$\"}"

/* A definition in a request, decoded by its table; points into the request. */
struct sandbox_definition_body {
    const char *runtime;
    const char *code;
    const char *entry_point; /* NULL: the runtime's default */
    int64_t timeout_ms;
    int64_t memory_limit_mb;
    const cJSON *env_vars; /* NULL: none */
    const cJSON *files;    /* an array, NULL: none */
    const char *env_field; /* what env_vars is called in complaints */
};

/* A file in a request. */
extern const struct json_table sandbox_file_table;

/* Checks what a table cannot. The result is the caller's (sandbox_definition_free). */
int sandbox_request_definition(const struct sandbox_definition_body *body,
                               struct sandbox_definition *ret_definition, struct error *err);

/* The body of POST /sandbox, and that of POST /sandbox/{id}/files, an array. */
extern const struct json_table sandbox_create_table;
extern const struct json_field sandbox_files_body;

/* Decodes the body of POST /sandbox. The result is the caller's (sandbox_definition_free). */
int sandbox_request_create(const cJSON *body, const struct sandbox_limits *limits,
                           struct sandbox_definition *ret_definition, struct error *err);

/* Decodes an array of {path, content, is_executable, encoding}. The result is the caller's. */
int sandbox_request_files(const cJSON *array, struct sandbox_files *ret_files, struct error *err);

#endif
