/*
 * Bodies of /v1/sandboxes, decoded and checked by tables: what leaves here is a specification that
 * every later layer can rely on. What this installation cannot give is refused by name
 * (ERR_NOT_SUPPORTED), never ignored.
 */
#ifndef SERVER_HANDLERS_V1_SANDBOX_REQUEST_H
#define SERVER_HANDLERS_V1_SANDBOX_REQUEST_H

#include "lib/json/json.h"
#include "server/services/containers.h"

#include <atoll/config.h>

extern const struct json_table v1_sandbox_create_table;
extern const struct json_table v1_sandbox_patch_table;
extern const struct json_table v1_entrypoint_table;

/* Decodes the body of POST /v1/sandboxes. The caller frees the result (container_spec_free). */
int v1_sandbox_request_create(const cJSON *body, const struct config *config,
                              struct container_spec *ret_spec, struct error *err);

/*
 * Decodes the body of PATCH /v1/sandboxes/{id}. The patch points into `body` and *ret_labels, which
 * is the caller's to free.
 */
int v1_sandbox_request_patch(const cJSON *body, struct store_container_patch *ret_patch,
                             char **ret_labels, struct error *err);

/* Decodes the body of PUT …/entrypoint: JSON arrays, the caller's to free; NULL for none. */
int v1_sandbox_request_entrypoint(const cJSON *body, char **ret_entrypoint, char **ret_command,
                                  struct error *err);

/*
 * The label filter "key:value" as a JSON object, the caller's to free. ERR_INVALID_FIELD (field
 * label) when it is none.
 */
int v1_sandbox_request_label(const char *text, char **ret_labels, struct error *err);

/* An environment as JSON text, checked; null values only when `nullable`. The caller frees it. */
int v1_sandbox_request_environment(const cJSON *environment, bool nullable, char **ret_json,
                                   struct error *err);

#endif
