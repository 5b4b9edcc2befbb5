/*
 * The handlers of the sandbox-service dialect (docs/api.md): each decodes a request, calls a
 * service and shows its result.
 */
#ifndef SERVER_HANDLERS_SANDBOX_H
#define SERVER_HANDLERS_SANDBOX_H

#include "server/handlers/call.h"

extern const struct json_table sandbox_list_query;
extern const struct json_table sandbox_execute_table;

int handle_sandbox_create(struct call *call, struct error *err);
int handle_sandbox_get(struct call *call, struct error *err);
int handle_sandbox_list(struct call *call, struct error *err);
int handle_sandbox_delete(struct call *call, struct error *err);
/* As handle_sandbox_delete, for one that may be deleted already. */
int handle_sandbox_delete_rest(struct call *call, struct error *err);
int handle_sandbox_execute(struct call *call, struct error *err);
int handle_sandbox_files(struct call *call, struct error *err);

#endif
