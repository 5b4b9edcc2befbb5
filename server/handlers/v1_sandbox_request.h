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

#endif
