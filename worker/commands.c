/* The ends of main commands. */
#include "lib/base/util.h"
#include "lib/db/store_container_system.h"
#include "lib/runtime/agent_process.h"
#include "worker/worker.h"

#include <atoll/log.h>
#include <stdlib.h>
#include <string.h>

enum {
    AGENT_USEC = 100 * 1000, /* one that is slower is asked again in the next round */
    ROUND_USEC = 500 * 1000, /* the worker has other things to do */
};

/* False when nobody knows of an end: it runs, or its agent does not say. */
static bool has_ended(struct worker *worker, const struct store_container_place *place,
                      struct agent_process *ret_process)
{
    int64_t deadline = monotonic_usec() + AGENT_USEC;
    _cleanup_agent_client_ struct agent_client *client = NULL;
    struct error unneeded;

    return launcher_client_connect_agent(worker->launcher, &place->id, place->generation, deadline,
                                         &client, &unneeded) == 0 &&
           agent_process_wait(client, &place->id, 0, deadline, ret_process, &unneeded) == 0 &&
           ret_process->state == AGENT_PROCESS_ENDED;
}

/* The row first: whoever starts it again from then on ends this generation himself. */
static int stop_ended(struct worker *worker, const struct store_container_place *place,
                      const struct agent_process *process, struct error *err)
{
    static const struct store_origin origin = {.actor = "worker"};
    _cleanup_(container_record_free) struct container_record record = {.owner = NULL};
    const struct store_container_step step = {
        .id = place->id,
        .generation = place->generation,
        .from = SANDBOX_RUNNING,
        .to = SANDBOX_STOPPED,
        .reason = CONTAINER_COMMAND_EXITED,
        .has_exit = true,
        .exit_code = process->exit_code,
        .exit_signal = process->signal,
    };

    if (store_container_step(worker->pool, NULL, &step, &origin, &record, err) < 0)
        return err->code == ERR_CONFLICT ? 0 : -1;
    return worker_destroy_container(worker, &place->id, place->generation, err);
}

static int watch(struct worker *worker, const struct store_container_place *place,
                 struct worker_round *round, struct error *err)
{
    struct agent_process process;

    worker->watched = place->id;
    if (place->state != SANDBOX_RUNNING || !place->has_command ||
        !has_ended(worker, place, &process))
        return 0;
    round->done++;
    return stop_ended(worker, place, &process, err);
}

/* The first place behind the one that the last round ended with. */
static size_t first_place(const struct worker *worker, const struct store_container_place *places,
                          size_t count)
{
    size_t i = 0;

    while (i < count && memcmp(places[i].id.bytes, worker->watched.bytes, ID_BYTES) <= 0)
        i++;
    return i;
}

int worker_watch_commands(struct worker *worker, struct worker_round *ret_round, struct error *err)
{
    _cleanup_free_ struct store_container_place *places = NULL;
    int64_t deadline = monotonic_usec() + ROUND_USEC;
    struct worker_round round = {.done = 0};
    size_t count = 0;
    size_t first;
    int status = 0;

    if (store_containers_up(worker->pool, worker->node, &places, &count, err) < 0)
        return -1;
    first = first_place(worker, places, count);
    for (size_t i = 0; i < count && monotonic_usec() < deadline; i++)
        if (watch(worker, &places[(first + i) % count], &round, err) < 0)
            status = -1;
    *ret_round = round;
    return status;
}
