/* POST /v1/auth/token: docs/api/keys.md. */
#ifndef SERVER_HANDLERS_V1_TOKEN_H
#define SERVER_HANDLERS_V1_TOKEN_H

#include "lib/json/json.h"
#include "server/handlers/call.h"

extern const struct json_table token_request_table;
extern const struct json_table token_table;

int handle_token_exchange(struct call *call, struct error *err);

#endif
