/* Quotas: /v1/quota and those below /v1/projects and /v1/tenants. docs/api/quotas.md has them. */
#ifndef SERVER_HANDLERS_V1_QUOTAS_H
#define SERVER_HANDLERS_V1_QUOTAS_H

#include "server/handlers/call.h"

extern const struct json_table v1_quota_table;
extern const struct json_table v1_quota_put_table;

int handle_v1_quota_own(struct call *call, struct error *err);
int handle_v1_quota_of_project(struct call *call, struct error *err);

/* For operators: of a tenant, or of one of its projects when the path has a second id. */
int handle_v1_quota_get(struct call *call, struct error *err);
int handle_v1_quota_put(struct call *call, struct error *err);
int handle_v1_quota_project_get(struct call *call, struct error *err);
int handle_v1_quota_project_put(struct call *call, struct error *err);

#endif
