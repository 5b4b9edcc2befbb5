/* /v1/api-keys: docs/api/keys.md. */
#ifndef SERVER_HANDLERS_V1_API_KEYS_H
#define SERVER_HANDLERS_V1_API_KEYS_H

#include "lib/json/json.h"
#include "server/handlers/call.h"

extern const struct json_table api_key_create_table;
extern const struct json_table api_key_table;
extern const struct json_table api_key_created_table; /* with the key itself */
extern const struct json_table api_key_page_table;

int handle_api_key_create(struct call *call, struct error *err);
int handle_api_key_list(struct call *call, struct error *err);
int handle_api_key_get(struct call *call, struct error *err);
int handle_api_key_revoke(struct call *call, struct error *err);

#endif
