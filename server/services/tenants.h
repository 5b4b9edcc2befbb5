/*
 * Tenants, on behalf of an operator: routes give these functions to that role alone. See
 * lib/db/store_tenant.h for errors and for who frees what.
 */
#ifndef SERVER_SERVICES_TENANTS_H
#define SERVER_SERVICES_TENANTS_H

#include "lib/db/store_tenant.h"
#include "server/services/services.h"

/* A page, newest first. `more` says that another follows. */
struct tenant_list {
    struct tenant_record *items;
    size_t count;
    bool more;
};

void tenant_list_free(struct tenant_list *list);

int tenants_create(struct services *services, const struct caller *caller, const char *name,
                   struct tenant_record *ret_record, struct error *err);

int tenants_get(struct services *services, const struct id *tenant,
                struct tenant_record *ret_record, struct error *err);

/* At most `limit` tenants that are older than `cursor`, or the newest when that is NULL. */
int tenants_list(struct services *services, uint32_t limit, const struct id *cursor,
                 struct tenant_list *ret_list, struct error *err);

/* ERR_CONFLICT too for an operator who would suspend, or delete, the tenant that he acts for. */
int tenants_patch(struct services *services, const struct caller *caller, const struct id *tenant,
                  const struct store_tenant_change *change, int64_t version,
                  struct tenant_record *ret_record, struct error *err);

int tenants_delete(struct services *services, const struct caller *caller, const struct id *tenant,
                   int64_t version, struct error *err);

#endif
