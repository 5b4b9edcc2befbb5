/* GET /v1/usage (docs/api/usage.md). */
#ifndef SERVER_HANDLERS_V1_USAGE_H
#define SERVER_HANDLERS_V1_USAGE_H

#include "server/handlers/call.h"

extern const struct json_table usage_query_table;
extern const struct json_table usage_table;

int handle_usage(struct call *call, struct error *err);

#endif
