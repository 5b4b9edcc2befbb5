#include "server/services/containers.h"

#include "server/services/container_launch.h"
#include "server/services/container_stop.h"

#include <atoll/log.h>

/* Removes what a create left behind that has failed; `err` stays what it was. */
static void abandon(struct services *services, const struct caller *caller, const struct id *id)
{
    struct db_scope scope = caller_scope(caller);
    struct store_origin origin = caller_origin(caller);
    struct error failure;
    uint32_t unneeded;

    /* Where this fails, the worker finds a container that does not get out of its state. */
    if (container_remove(services, &caller->tenant, id, &failure) < 0 ||
        store_container_delete_begin(services->db, &scope, id, CONTAINER_START_FAILED,
                                     STORE_ANY_VERSION, &origin, &unneeded, &failure) < 0 ||
        store_container_delete_finish(services->db, &scope, id, &origin, &failure) < 0)
        log_error("what is left of a sandbox that could not start stays: %s", failure.message);
}

static int start_created(struct services *services, const struct caller *caller,
                         const struct container_record *created,
                         struct container_record *ret_record, struct error *err)
{
    struct db_scope scope = caller_scope(caller);
    struct store_origin origin = caller_origin(caller);
    struct store_container_step step = {
        .id = created->id,
        .generation = created->generation,
        .from = SANDBOX_CREATING,
        .to = SANDBOX_RUNNING,
        .reason = CONTAINER_REQUESTED,
    };

    if (container_launch(services, created, err) < 0)
        return -1;
    return store_container_step(services->db, &scope, &step, &origin, ret_record, err);
}

static int create_admitted(struct services *services, const struct caller *caller,
                           const struct container_spec *spec, struct container_record *ret_record,
                           struct error *err)
{
    struct db_scope scope = caller_scope(caller);
    struct store_origin origin = caller_origin(caller);
    _cleanup_(container_record_free) struct container_record created = {.owner = NULL};
    struct id id;

    if (caller_new_id(caller, &id, err) < 0 ||
        store_container_insert(services->db, &scope, &id, spec, services->node_id, &origin,
                               &created, err) < 0)
        return -1;
    if (start_created(services, caller, &created, ret_record, err) == 0)
        return 0;
    abandon(services, caller, &id);
    return -1;
}

int containers_create(struct services *services, const struct caller *caller,
                      const struct container_spec *spec, struct container_record *ret_record,
                      struct error *err)
{
    struct admission_ticket ticket;
    int status;

    if (admission_enter(services->admission, &caller->tenant, false, &ticket, err) < 0)
        return -1;
    status = create_admitted(services, caller, spec, ret_record, err);
    admission_leave(services->admission, &ticket);
    return status;
}

int containers_get(struct services *services, const struct caller *caller, const struct id *id,
                   struct container_record *ret_record, struct error *err)
{
    struct db_scope scope = caller_scope(caller);

    return store_container_get(services->db, &scope, id, ret_record, err);
}

int containers_list(struct services *services, const struct caller *caller,
                    const struct store_container_filter *filter, struct container_list *ret_list,
                    bool *ret_more, struct error *err)
{
    struct db_scope scope = caller_scope(caller);
    struct store_container_filter page = *filter;

    /* One more than asked for tells whether there is another page. */
    page.limit++;
    if (store_container_list(services->db, &scope, &page, ret_list, err) < 0)
        return -1;
    *ret_more = ret_list->count > filter->limit;
    if (*ret_more)
        ret_list->count = filter->limit;
    return 0;
}

int containers_patch(struct services *services, const struct caller *caller, const struct id *id,
                     const struct store_container_patch *patch, int64_t version,
                     struct container_record *ret_record, struct error *err)
{
    struct db_scope scope = caller_scope(caller);
    struct store_origin origin = caller_origin(caller);

    return store_container_patch(services->db, &scope, id, patch, version, &origin, ret_record,
                                 err);
}

int containers_get_environment(struct services *services, const struct caller *caller,
                               const struct id *id, struct container_record *ret_record,
                               struct error *err)
{
    struct db_scope scope = caller_scope(caller);

    return store_container_get_environment(services->db, &scope, id, ret_record, err);
}

int containers_set_environment(struct services *services, const struct caller *caller,
                               const struct id *id, const char *env_json, bool merge,
                               int64_t version, struct container_record *ret_record,
                               struct error *err)
{
    struct db_scope scope = caller_scope(caller);
    struct store_origin origin = caller_origin(caller);

    return store_container_environment(services->db, &scope, id, env_json, merge, version, &origin,
                                       ret_record, err);
}

int containers_set_entrypoint(struct services *services, const struct caller *caller,
                              const struct id *id, const char *entrypoint_json,
                              const char *command_json, int64_t version,
                              struct container_record *ret_record, struct error *err)
{
    struct db_scope scope = caller_scope(caller);
    struct store_origin origin = caller_origin(caller);

    return store_container_entrypoint(services->db, &scope, id, entrypoint_json, command_json,
                                      version, &origin, ret_record, err);
}

int containers_delete(struct services *services, const struct caller *caller, const struct id *id,
                      int64_t version, struct error *err)
{
    struct db_scope scope = caller_scope(caller);
    struct store_origin origin = caller_origin(caller);
    _cleanup_(container_stop_free) struct container_stop end = {.agent = NULL};
    uint32_t generation;

    if (store_container_delete_begin(services->db, &scope, id, CONTAINER_REQUESTED, version,
                                     &origin, &generation, err) < 0)
        return -1;
    container_stop_begin(services, &caller->tenant, id, generation, 0, &end);
    if (container_remove(services, &caller->tenant, id, err) < 0)
        return -1;
    return store_container_delete_finish(services->db, &scope, id, &origin, err);
}
