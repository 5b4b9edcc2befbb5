#include "server/services/tenants.h"

#include <stdlib.h>
#include <string.h>

void tenant_list_free(struct tenant_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        tenant_record_free(&list->items[i]);
    free(list->items);
    *list = (struct tenant_list){0};
}

int tenants_create(struct services *services, const struct caller *caller, const char *name,
                   struct tenant_record *ret_record, struct error *err)
{
    const struct store_origin origin = caller_origin(caller);
    struct db_scope scope;
    struct id id;

    if (caller_new_id(caller, &id, err) < 0)
        return -1;
    scope = caller_operator_scope(caller, &id);
    return store_tenant_insert(services->db, &scope, &id, name, &origin, ret_record, err);
}

int tenants_get(struct services *services, const struct id *tenant,
                struct tenant_record *ret_record, struct error *err)
{
    return store_tenant_get(services->db, tenant, ret_record, err);
}

int tenants_list(struct services *services, uint32_t limit, const struct id *cursor,
                 struct tenant_list *ret_list, struct error *err)
{
    struct tenant_list list = {0};

    /* One more than asked for tells whether there is another page. */
    if (store_tenant_list(services->db, limit + 1, cursor, &list.items, &list.count, err) < 0)
        return -1;
    list.more = list.count > limit;
    if (list.more)
        tenant_record_free(&list.items[--list.count]);
    *ret_list = list;
    return 0;
}

int tenants_patch(struct services *services, const struct caller *caller, const struct id *tenant,
                  const struct store_tenant_change *change, int64_t version,
                  struct tenant_record *ret_record, struct error *err)
{
    const struct store_origin origin = caller_origin(caller);
    const struct db_scope scope = caller_operator_scope(caller, tenant);

    if (change->state && strcmp(change->state, "suspended") == 0 &&
        id_equal(tenant, &caller->tenant))
        return error_set(err, ERR_CONFLICT, "your own tenant cannot be suspended");
    return store_tenant_patch(services->db, &scope, tenant, change, version, &origin, ret_record,
                              err);
}

int tenants_delete(struct services *services, const struct caller *caller, const struct id *tenant,
                   int64_t version, struct error *err)
{
    const struct store_origin origin = caller_origin(caller);
    const struct db_scope scope = caller_operator_scope(caller, tenant);

    if (id_equal(tenant, &caller->tenant))
        return error_set(err, ERR_CONFLICT, "your own tenant cannot be deleted");
    return store_tenant_delete(services->db, &scope, tenant, version, &origin, err);
}
