/* /v1/webhooks. docs/api/webhooks.md describes them. */
#ifndef SERVER_HANDLERS_V1_WEBHOOKS_H
#define SERVER_HANDLERS_V1_WEBHOOKS_H

#include "server/handlers/call.h"

extern const struct json_table v1_webhook_table;
extern const struct json_table v1_webhook_created_table;
extern const struct json_table v1_webhook_page_table;
extern const struct json_table v1_webhook_create_table;
extern const struct json_table v1_webhook_patch_table;
extern const struct json_table v1_webhook_delivery_table;
extern const struct json_table v1_webhook_delivery_page_table;
extern const struct json_table v1_webhook_delivery_query;

int handle_v1_webhook_create(struct call *call, struct error *err);
int handle_v1_webhook_list(struct call *call, struct error *err);
int handle_v1_webhook_get(struct call *call, struct error *err);
int handle_v1_webhook_patch(struct call *call, struct error *err);
int handle_v1_webhook_delete(struct call *call, struct error *err);

int handle_v1_webhook_deliveries(struct call *call, struct error *err);
int handle_v1_webhook_retry(struct call *call, struct error *err);

#endif
