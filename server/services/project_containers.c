#include "server/services/project_containers.h"

#include "lib/base/util.h"

#include <poll.h>

enum {
    PATIENCE_USEC = 10 * 1000 * 1000, /* for another call's change of the same container */
    LOOK_AGAIN_MS = 20,
};

static int not_found(struct error *err)
{
    return error_set(err, ERR_NOT_FOUND, "the project has no container: create it first");
}

/* Also one that is stopped: its files are there. */
static int find_any(struct services *services, const struct caller *caller, const char *name,
                    struct container_record *ret_record, struct error *err)
{
    struct db_scope scope = caller_scope(caller);
    struct container_record record;

    if (store_container_find(services->db, &scope, name, &record, err) < 0)
        return err->code == ERR_NOT_FOUND ? not_found(err) : -1;
    if (record.state == SANDBOX_DELETING) {
        container_record_free(&record);
        return not_found(err);
    }
    *ret_record = record;
    return 0;
}

int project_containers_find(struct services *services, const struct caller *caller,
                            const char *name, struct container_record *ret_record,
                            struct error *err)
{
    _cleanup_(container_record_free) struct container_record record = {.owner = NULL};

    if (find_any(services, caller, name, &record, err) < 0)
        return -1;
    if (record.state == SANDBOX_STOPPED)
        return error_set(err, ERR_NOT_FOUND,
                         "the project's container is stopped: create it to go on with its files");
    *ret_record = record;
    record = (struct container_record){.owner = NULL};
    return 0;
}

/* Brings one that is there to running, and may move it. ERR_CONFLICT while somebody else changes
 * it. */
static int bring_up(struct services *services, const struct caller *caller,
                    struct container_record *found, struct container_record *ret_record,
                    struct error *err)
{
    switch (found->state) {
    case SANDBOX_RUNNING:
        *ret_record = *found;
        *found = (struct container_record){.owner = NULL};
        return 0;
    case SANDBOX_PAUSED:
        return containers_resume(services, caller, &found->id, ret_record, err);
    case SANDBOX_STOPPED:
    case SANDBOX_FAILED:
        return containers_start(services, caller, &found->id, ret_record, err);
    default:
        return error_set(err, ERR_CONFLICT, "the container is %s",
                         sandbox_state_name(found->state));
    }
}

static int try_ensure(struct services *services, const struct caller *caller,
                      const struct container_spec *spec, struct container_record *ret_record,
                      bool *ret_is_new, struct error *err)
{
    _cleanup_(container_record_free) struct container_record found = {.owner = NULL};
    struct db_scope scope = caller_scope(caller);

    if (store_container_find(services->db, &scope, spec->client_name, &found, err) == 0) {
        *ret_is_new = false;
        return bring_up(services, caller, &found, ret_record, err);
    }
    if (err->code != ERR_NOT_FOUND)
        return -1;
    *ret_is_new = true;
    return containers_create(services, caller, spec, ret_record, err);
}

/* Another call made it, or changes it: it will be there shortly. */
static bool may_pass(const struct caller *caller, const struct error *err)
{
    bool is_refused = caller->claim && caller->claim->state == DB_CLAIM_REFUSED;

    return (err->code == ERR_CONFLICT || err->code == ERR_NOT_FOUND) && !is_refused;
}

int project_containers_ensure(struct services *services, const struct caller *caller,
                              const struct container_spec *spec,
                              struct container_record *ret_record, bool *ret_is_new,
                              struct error *err)
{
    int64_t deadline = monotonic_usec() + PATIENCE_USEC;
    bool is_new;

    while (try_ensure(services, caller, spec, ret_record, &is_new, err) < 0) {
        if (!may_pass(caller, err) || monotonic_usec() > deadline)
            return -1;
        (void)poll(NULL, 0, LOOK_AGAIN_MS);
    }
    *ret_is_new = is_new;
    return 0;
}

static int delete_with_files(struct services *services, const struct caller *caller,
                             const char *name, struct error *err)
{
    _cleanup_(container_record_free) struct container_record found = {.owner = NULL};

    if (find_any(services, caller, name, &found, err) < 0)
        return -1;
    return containers_delete(services, caller, &found.id, STORE_ANY_VERSION, err);
}

static int delete_without_files(struct services *services, const struct caller *caller,
                                const char *name, struct error *err)
{
    _cleanup_(container_record_free) struct container_record found = {.owner = NULL};
    _cleanup_(container_record_free) struct container_record stopped = {.owner = NULL};

    if (project_containers_find(services, caller, name, &found, err) < 0)
        return -1;
    return containers_stop(services, caller, &found.id, 0, &stopped, err);
}

int project_containers_delete(struct services *services, const struct caller *caller,
                              const char *name, bool with_files, struct error *err)
{
    return with_files ? delete_with_files(services, caller, name, err)
                      : delete_without_files(services, caller, name, err);
}
