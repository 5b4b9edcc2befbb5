/* Containers of this node: the idle ones, and those whose row and host disagree. */
#include "lib/db/store_container_system.h"
#include "worker/worker.h"

#include <atoll/log.h>
#include <stdlib.h>
#include <string.h>

enum {
    IDLE_A_ROUND = 32,
    CREATING_S = 90, /* a server that lives is done with a create long before */
    SETTLED_S = 5,   /* a change of state that is so old is not under way any more */
};

static const struct store_origin worker_origin = {.actor = "worker"};

static void log_container(const struct store_container_place *place, const char *what)
{
    char tenant[ID_TEXT_SIZE];
    char sandbox[ID_TEXT_SIZE];

    id_format(&place->tenant, tenant);
    id_format(&place->id, sandbox);
    log_identity(tenant, sandbox, NULL);
    log_info("generation %u: %s", place->generation, what);
    log_identity(NULL, NULL, NULL);
}

int worker_stop_idle(struct worker *worker, struct worker_round *ret_round, struct error *err)
{
    _cleanup_free_ struct store_container_place *places = NULL;
    size_t count = 0;
    int status = 0;

    if (store_containers_stop_idle(worker->pool, worker->node, IDLE_A_ROUND, &places, &count, err) <
        0)
        return -1;
    /* What cannot be ended here has no owner any more: the sweep of orphans comes to it. */
    for (size_t i = 0; i < count; i++) {
        log_container(&places[i], "stopped: idle_timeout");
        if (worker_destroy_container(worker, &places[i].id, places[i].generation, err) < 0)
            status = -1;
    }
    *ret_round = (struct worker_round){.done = count, .more = count == IDLE_A_ROUND};
    return status;
}

/* --- rows and the host */

static int compare_entries(const void *a, const void *b)
{
    const struct launcher_entry *left = a;
    const struct launcher_entry *right = b;
    int order = memcmp(left->id.bytes, right->id.bytes, ID_BYTES);

    if (order != 0)
        return order;
    return left->generation < right->generation ? -1 : left->generation > right->generation;
}

static const struct launcher_entry *find_entry(const struct launcher_entry *entries, size_t count,
                                               const struct store_container_place *place)
{
    const struct launcher_entry wanted = {.id = place->id, .generation = place->generation};

    if (count == 0)
        return NULL;
    return bsearch(&wanted, entries, count, sizeof(*entries), compare_entries);
}

/* Takes the step unless somebody else took one; *ret_taken says so. */
static int take_step(struct worker *worker, const struct store_container_place *place,
                     enum sandbox_state to, enum container_reason reason, bool *ret_taken,
                     struct error *err)
{
    _cleanup_(container_record_free) struct container_record record = {.owner = NULL};
    const struct store_container_step step = {
        .id = place->id,
        .generation = place->generation,
        .from = place->state,
        .to = to,
        .reason = reason,
    };
    int status = store_container_step(worker->pool, NULL, &step, &worker_origin, &record, err);

    *ret_taken = status == 0;
    return status < 0 && err->code != ERR_CONFLICT ? -1 : 0;
}

/*
 * A server ended between the row and the running sandbox. One without a main command is complete
 * when it lives; with one, nobody knows whether that was started.
 */
static int settle_creating(struct worker *worker, const struct store_container_place *place,
                           bool lives, bool *ret_taken, struct error *err)
{
    bool first = place->generation == 1;

    if (lives && !place->has_command)
        return take_step(worker, place, SANDBOX_RUNNING, CONTAINER_REQUESTED, ret_taken, err);
    if (worker_destroy_container(worker, &place->id, place->generation, err) < 0)
        return -1;
    return take_step(worker, place, first ? SANDBOX_FAILED : SANDBOX_STOPPED, CONTAINER_UNFINISHED,
                     ret_taken, err);
}

static int set_frozen(struct worker *worker, const struct store_container_place *place, bool frozen,
                      struct error *err)
{
    int status = frozen
                     ? launcher_client_freeze(worker->launcher, &place->id, place->generation, err)
                     : launcher_client_thaw(worker->launcher, &place->id, place->generation, err);

    return status < 0 && err->code != ERR_NOT_FOUND ? -1 : 0;
}

/*
 * A server ended between the row and the freezer. It writes the row first: when the row is still
 * the same after we acted, whoever changes it next acts after us; when it is not, we take it back.
 */
static int settle_freezer(struct worker *worker, const struct store_container_place *place,
                          struct error *err)
{
    bool frozen = place->state == SANDBOX_PAUSED;
    bool is_in;

    if (set_frozen(worker, place, frozen, err) < 0 ||
        store_container_is_in(worker->pool, place, &is_in, err) < 0)
        return -1;
    return is_in ? 0 : set_frozen(worker, place, !frozen, err);
}

static int settle(struct worker *worker, const struct store_container_place *place,
                  const struct launcher_entry *entry, struct worker_round *round, struct error *err)
{
    bool taken = false;
    int status = 0;

    if (place->state == SANDBOX_CREATING) {
        if (place->in_state_s < CREATING_S)
            return 0;
        status = settle_creating(worker, place, entry != NULL, &taken, err);
    } else if (!entry) {
        status = take_step(worker, place, SANDBOX_STOPPED, CONTAINER_LOST, &taken, err);
    } else if (place->in_state_s >= SETTLED_S &&
               (entry->frozen != 0) != (place->state == SANDBOX_PAUSED)) {
        status = settle_freezer(worker, place, err);
        taken = status == 0;
    }
    if (taken) {
        log_container(place, "row and host disagreed");
        round->done++;
    }
    return status;
}

/* The rows are read before the host: a sandbox of theirs that is not there has ended. */
int worker_reconcile_containers(struct worker *worker, struct worker_round *ret_round,
                                struct error *err)
{
    _cleanup_free_ struct store_container_place *places = NULL;
    _cleanup_free_ struct launcher_entry *entries = NULL;
    struct worker_round round = {.done = 0};
    size_t place_count = 0;
    size_t entry_count = 0;
    int status = 0;

    if (store_containers_up(worker->pool, worker->node, &places, &place_count, err) < 0)
        return -1;
    if (place_count > 0 && launcher_client_list(worker->launcher, &entries, &entry_count, err) < 0)
        return -1;
    if (entry_count > 0)
        qsort(entries, entry_count, sizeof(*entries), compare_entries);
    for (size_t i = 0; i < place_count; i++)
        if (settle(worker, &places[i], find_entry(entries, entry_count, &places[i]), &round, err) <
            0)
            status = -1;
    *ret_round = round;
    return status;
}

/* --- disks */

int worker_remove_disks(struct worker *worker, struct worker_round *ret_round, struct error *err)
{
    struct worker_round round = {.done = 0};
    _cleanup_free_ struct id *ids = NULL;
    size_t count = 0;
    int status = 0;

    if (launcher_client_disks(worker->launcher, &ids, &count, err) < 0)
        return -1;
    if (count > 0 && store_containers_missing(worker->pool, ids, &count, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        char sandbox[ID_TEXT_SIZE];

        /* One that lives is the sweep's to end first. */
        if (launcher_client_remove_disk(worker->launcher, &ids[i], err) < 0) {
            status = err->code == ERR_NOT_FOUND || err->code == ERR_CONFLICT ? status : -1;
            continue;
        }
        id_format(&ids[i], sandbox);
        log_identity(NULL, sandbox, NULL);
        log_warn("removed a disk that no sandbox has");
        log_identity(NULL, NULL, NULL);
        round.done++;
    }
    *ret_round = round;
    return status;
}
