/*
 * Projects. Every call is one transaction in one round trip, bound to `scope`: a project of another
 * tenant, or another one than the scope's, is ERR_NOT_FOUND, as a missing one is. Changes are
 * durable and write their event. For the errors that all share see db.h.
 */
#ifndef LIB_DB_STORE_PROJECT_H
#define LIB_DB_STORE_PROJECT_H

#include "lib/db/store_sandbox.h"

#include <atoll/tenancy.h>

/* What a caller may say of a project; NULL: as it is (of a new one: no labels). */
struct store_project_change {
    const char *name;
    const char *labels_json;
    const char *policy_json; /* {mode, allow, block}; a new project has none */
};

/*
 * ERR_CONFLICT (field "name") when the tenant has one of that name, ERR_FORBIDDEN when there is no
 * such tenant. The caller frees the record.
 */
int store_project_insert(struct db_pool *pool, const struct db_scope *scope, const struct id *id,
                         const struct store_project_change *project,
                         const struct store_origin *origin, struct project_record *ret_record,
                         struct error *err);

/* The caller frees the record. */
int store_project_get(struct db_pool *pool, const struct db_scope *scope, const struct id *id,
                      struct project_record *ret_record, struct error *err);

/*
 * The newest first, at most `limit`, older than `before` when that is not NULL. The caller frees
 * each record, then the array (NULL when there are none).
 */
int store_project_list(struct db_pool *pool, const struct db_scope *scope, uint32_t limit,
                       const struct id *before, struct project_record **ret_records,
                       size_t *ret_count, struct error *err);

/*
 * ERR_PRECONDITION when it has another version than the one expected (TENANCY_ANY_VERSION: any),
 * ERR_CONFLICT as above. The caller frees the record.
 */
int store_project_patch(struct db_pool *pool, const struct db_scope *scope, const struct id *id,
                        const struct store_project_change *change, int64_t version,
                        const struct store_origin *origin, struct project_record *ret_record,
                        struct error *err);

/* With its quota, API keys and webhooks. ERR_CONFLICT for the default project, and while a sandbox
 * of it is not deleted. */
int store_project_delete(struct db_pool *pool, const struct db_scope *scope, const struct id *id,
                         int64_t version, const struct store_origin *origin, struct error *err);

#endif
