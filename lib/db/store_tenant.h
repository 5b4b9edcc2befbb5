/*
 * Tenants, for the operator: every call acts with an operator's scope, which sees all of them. Each
 * is one transaction in one round trip; changes are durable and write their event into the log of
 * the tenant concerned. For the errors that all share see db.h.
 */
#ifndef LIB_DB_STORE_TENANT_H
#define LIB_DB_STORE_TENANT_H

#include "lib/db/store_sandbox.h"

#include <atoll/tenancy.h>

/*
 * Changes are made in the scope of an operator that is set to the tenant concerned: row-level
 * security shows an operator no sandboxes but that one's.
 */

/* With its default project. ERR_CONFLICT (field "name") when there is one of that name. The caller
 * frees the record. */
int store_tenant_insert(struct db_pool *pool, const struct db_scope *scope, const struct id *id,
                        const char *name, const struct store_origin *origin,
                        struct tenant_record *ret_record, struct error *err);

/* The caller frees the record. */
int store_tenant_get(struct db_pool *pool, const struct id *id, struct tenant_record *ret_record,
                     struct error *err);

/* As store_project_list. */
int store_tenant_list(struct db_pool *pool, uint32_t limit, const struct id *before,
                      struct tenant_record **ret_records, size_t *ret_count, struct error *err);

/* What is to change; NULL: as it is. */
struct store_tenant_change {
    const char *name;
    const char *state; /* "active", "suspended" */
};

/* ERR_PRECONDITION, ERR_CONFLICT: as store_project_patch. The caller frees the record. */
int store_tenant_patch(struct db_pool *pool, const struct db_scope *scope, const struct id *id,
                       const struct store_tenant_change *change, int64_t version,
                       const struct store_origin *origin, struct tenant_record *ret_record,
                       struct error *err);

/* With everything of it but its log. ERR_CONFLICT while a sandbox of it is not deleted. */
int store_tenant_delete(struct db_pool *pool, const struct db_scope *scope, const struct id *id,
                        int64_t version, const struct store_origin *origin, struct error *err);

#endif
