/*
 * The handlers of /v1/sandboxes (docs/api/sandboxes.md), and the tables that their routes are
 * described by.
 */
#ifndef SERVER_HANDLERS_V1_SANDBOXES_H
#define SERVER_HANDLERS_V1_SANDBOXES_H

#include "server/handlers/call.h"
#include "server/handlers/v1_sandbox_request.h"
#include "server/handlers/v1_sandbox_view.h"

extern const struct json_table v1_sandbox_list_query;
extern const struct json_table v1_sandbox_stop_table;
extern const struct json_table v1_environment_replace_table;
extern const struct json_table v1_environment_update_table;

/* Answers with the sandbox and its ETag. */
int v1_sandbox_respond(struct call *call, int status, const struct container_record *record,
                       struct error *err);

int handle_v1_sandbox_create(struct call *call, struct error *err);
int handle_v1_sandbox_created(struct call *call, struct error *err); /* once more for a retry */
int handle_v1_sandbox_list(struct call *call, struct error *err);
int handle_v1_sandbox_get(struct call *call, struct error *err);
int handle_v1_sandbox_patch(struct call *call, struct error *err);
int handle_v1_sandbox_delete(struct call *call, struct error *err);

int handle_v1_sandbox_start(struct call *call, struct error *err);
int handle_v1_sandbox_stop(struct call *call, struct error *err);
int handle_v1_sandbox_restart(struct call *call, struct error *err);
int handle_v1_sandbox_pause(struct call *call, struct error *err);
int handle_v1_sandbox_resume(struct call *call, struct error *err);

int handle_v1_environment_get(struct call *call, struct error *err);
int handle_v1_environment_put(struct call *call, struct error *err);
int handle_v1_environment_patch(struct call *call, struct error *err);
int handle_v1_entrypoint_get(struct call *call, struct error *err);
int handle_v1_entrypoint_put(struct call *call, struct error *err);

#endif
