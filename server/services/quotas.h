/*
 * Quotas: tenants look at theirs, operators at anybody's, and set them. `project` NULL: the quota
 * of the whole tenant. See lib/db/store_quota.h for errors.
 */
#ifndef SERVER_SERVICES_QUOTAS_H
#define SERVER_SERVICES_QUOTAS_H

#include "lib/db/store_quota.h"
#include "server/services/services.h"

/* Of the caller's own tenant, or of the project that he is bound to. */
int quotas_own(struct services *services, const struct caller *caller,
               struct quota_record *ret_record, struct error *err);

/* Of a project that the caller sees. */
int quotas_of_project(struct services *services, const struct caller *caller,
                      const struct id *project, struct quota_record *ret_record, struct error *err);

/* For operators. */
int quotas_get(struct services *services, const struct id *tenant, const struct id *project,
               struct quota_record *ret_record, struct error *err);
int quotas_put(struct services *services, const struct caller *caller, const struct id *tenant,
               const struct id *project, const struct quota_numbers *limits, int64_t version,
               struct quota_record *ret_record, struct error *err);

#endif
