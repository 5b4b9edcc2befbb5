/* GET /v1/sandboxes/{id}/why (docs/api/sandboxes.md). */
#ifndef SERVER_HANDLERS_V1_WHY_H
#define SERVER_HANDLERS_V1_WHY_H

#include "server/handlers/call.h"

extern const struct json_table why_table;

int handle_sandbox_why(struct call *call, struct error *err);

#endif
