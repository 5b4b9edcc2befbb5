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

/* Decodes the body of POST /sandbox. The result is the caller's (sandbox_definition_free). */
int sandbox_request_create(const cJSON *body, const struct sandbox_limits *limits,
                           struct sandbox_definition *ret_definition, struct error *err);

/* Decodes an array of {path, content, is_executable, encoding}. The result is the caller's. */
int sandbox_request_files(const cJSON *array, struct sandbox_files *ret_files, struct error *err);

#endif
