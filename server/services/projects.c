#include "server/services/projects.h"

#include <stdlib.h>

void project_list_free(struct project_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        project_record_free(&list->items[i]);
    free(list->items);
    *list = (struct project_list){0};
}

static int refuse_bound(const struct caller *caller, struct error *err)
{
    if (caller->has_project)
        return error_set(err, ERR_FORBIDDEN, "the token is bound to one project");
    return 0;
}

int projects_create(struct services *services, const struct caller *caller,
                    const struct store_project_change *project, struct project_record *ret_record,
                    struct error *err)
{
    const struct db_scope scope = caller_scope(caller);
    const struct store_origin origin = caller_origin(caller);
    struct id id;

    if (refuse_bound(caller, err) < 0 || caller_new_id(caller, &id, err) < 0)
        return -1;
    return store_project_insert(services->db, &scope, &id, project, &origin, ret_record, err);
}

int projects_get(struct services *services, const struct caller *caller, const struct id *project,
                 struct project_record *ret_record, struct error *err)
{
    const struct db_scope scope = caller_scope(caller);

    return store_project_get(services->db, &scope, project, ret_record, err);
}

int projects_list(struct services *services, const struct caller *caller, uint32_t limit,
                  const struct id *cursor, struct project_list *ret_list, struct error *err)
{
    const struct db_scope scope = caller_scope(caller);
    struct project_list list = {0};

    /* One more than asked for tells whether there is another page. */
    if (store_project_list(services->db, &scope, limit + 1, cursor, &list.items, &list.count, err) <
        0)
        return -1;
    list.more = list.count > limit;
    if (list.more)
        project_record_free(&list.items[--list.count]);
    *ret_list = list;
    return 0;
}

int projects_patch(struct services *services, const struct caller *caller, const struct id *project,
                   const struct store_project_change *change, int64_t version,
                   struct project_record *ret_record, struct error *err)
{
    const struct db_scope scope = caller_scope(caller);
    const struct store_origin origin = caller_origin(caller);

    return store_project_patch(services->db, &scope, project, change, version, &origin, ret_record,
                               err);
}

int projects_delete(struct services *services, const struct caller *caller,
                    const struct id *project, int64_t version, struct error *err)
{
    const struct db_scope scope = caller_scope(caller);
    const struct store_origin origin = caller_origin(caller);

    if (refuse_bound(caller, err) < 0)
        return -1;
    return store_project_delete(services->db, &scope, project, version, &origin, err);
}
