#include "server/services/sandboxes.h"

#include "lib/db/store_sandbox.h"
#include "lib/runtime/launcher_client.h"
#include "server/services/holdings.h"

#include <stdlib.h>

void sandbox_list_free(struct sandbox_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        sandbox_record_free(&list->items[i]);
    free(list->items);
    *list = (struct sandbox_list){0};
}

int sandboxes_create(struct services *services, const struct caller *caller,
                     const struct sandbox_definition *definition, struct sandbox_record *ret_record,
                     struct error *err)
{
    const struct store_lifetime lifetime = {
        .idle_timeout_s = (uint32_t)services->config->sandbox_idle_timeout_s,
        .max_lifetime_s = (uint32_t)services->config->sandbox_max_lifetime_s,
    };
    struct store_origin origin = caller_origin(caller);
    const struct store_holding holding = holding_of(definition);
    struct db_scope scope = caller_scope(caller);
    struct id id;

    if (holdings_add(services, caller, &holding, err) < 0 || caller_new_id(caller, &id, err) < 0)
        return -1;
    return store_sandbox_insert(services->db, &scope, &id, definition, &lifetime, &origin,
                                ret_record, err);
}

int sandboxes_get(struct services *services, const struct caller *caller, const struct id *sandbox,
                  struct sandbox_record *ret_record, struct error *err)
{
    struct db_scope scope = caller_scope(caller);

    return store_sandbox_get(services->db, &scope, sandbox, ret_record, err);
}

int sandboxes_list(struct services *services, const struct caller *caller, unsigned limit,
                   const struct id *cursor, struct sandbox_list *ret_list, struct error *err)
{
    struct db_scope scope = caller_scope(caller);
    struct sandbox_list list = {0};

    /* One more than asked for tells whether there is another page. */
    if (store_sandbox_list(services->db, &scope, limit + 1, cursor, &list.items, &list.count, err) <
        0)
        return -1;
    if (list.count > limit) {
        list.more = true;
        sandbox_record_free(&list.items[--list.count]);
    }
    *ret_list = list;
    return 0;
}

int sandboxes_put_files(struct services *services, const struct caller *caller,
                        const struct id *sandbox, const struct sandbox_files *files,
                        struct error *err)
{
    const struct store_holding holding = holding_of_files(files);
    struct store_origin origin = caller_origin(caller);
    struct db_scope scope = caller_scope(caller);

    if (holdings_add(services, caller, &holding, err) < 0)
        return -1;
    return store_sandbox_put_files(services->db, &scope, sandbox, files, &origin, err);
}

int sandboxes_delete(struct services *services, const struct caller *caller,
                     const struct id *sandbox, struct error *err)
{
    struct store_origin origin = caller_origin(caller);
    struct db_scope scope = caller_scope(caller);
    _cleanup_(store_deletion_free) struct store_deletion deletion = {0};

    if (store_sandbox_delete_begin(services->db, &scope, sandbox, &origin, &deletion, err) < 0)
        return -1;
    if (deletion.done)
        return 0;
    for (size_t i = 0; i < deletion.count; i++) {
        struct error gone;

        /* One that ended by itself is gone already: that is what was wanted. */
        if (launcher_client_destroy(services->launcher, sandbox, deletion.generations[i], NULL,
                                    &gone) < 0 &&
            gone.code != ERR_NOT_FOUND)
            return error_set(err, gone.code, "%s", gone.message);
    }
    return store_sandbox_delete_finish(services->db, &scope, sandbox, &origin, err);
}
