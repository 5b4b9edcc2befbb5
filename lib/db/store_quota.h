/*
 * Quotas: what a tenant or a project may have, and what it has now. How they are held to is in
 * admission.h. `scope` must see the tenant: its own caller's does, an operator's sees all. For the
 * errors that all share see db.h.
 */
#ifndef LIB_DB_STORE_QUOTA_H
#define LIB_DB_STORE_QUOTA_H

#include "lib/db/store_sandbox.h"

#include <atoll/tenancy.h>

/*
 * The quota of a project, or of the whole tenant when `project` is NULL. ERR_NOT_FOUND when there
 * is no such tenant or project.
 */
int store_quota_get(struct db_pool *pool, const struct db_scope *scope, const struct id *tenant,
                    const struct id *project, struct quota_record *ret_record, struct error *err);

/*
 * Replaces all limits (QUOTA_UNLIMITED: none), durably, with an event; what is in use beyond a
 * lower limit stays. ERR_PRECONDITION when the limits have another version than the one expected
 * (TENANCY_ANY_VERSION: any; 0: there were none).
 */
int store_quota_put(struct db_pool *pool, const struct db_scope *scope, const struct id *tenant,
                    const struct id *project, const struct quota_numbers *limits, int64_t version,
                    const struct store_origin *origin, struct quota_record *ret_record,
                    struct error *err);

#endif
