/* /v1/tenants, for operators. docs/api/tenants.md describes them. */
#ifndef SERVER_HANDLERS_V1_TENANTS_H
#define SERVER_HANDLERS_V1_TENANTS_H

#include "server/handlers/call.h"

extern const struct json_table v1_tenant_table;
extern const struct json_table v1_tenant_page_table;
extern const struct json_table v1_tenant_create_table;
extern const struct json_table v1_tenant_patch_table;

int handle_v1_tenant_create(struct call *call, struct error *err);
int handle_v1_tenant_list(struct call *call, struct error *err);
int handle_v1_tenant_get(struct call *call, struct error *err);
int handle_v1_tenant_patch(struct call *call, struct error *err);
int handle_v1_tenant_delete(struct call *call, struct error *err);

#endif
