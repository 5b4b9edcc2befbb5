/* The ends of processes that callers started in containers. */
#include "lib/base/util.h"
#include "lib/db/store_process_system.h"
#include "lib/runtime/process_log.h"
#include "worker/worker.h"

#include <atoll/log.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    AGENT_USEC = 100 * 1000, /* one that is slower is asked again in the next round */
    STOP_USEC = 1000 * 1000, /* for what is killed to be dead */
    ROUND_USEC = 500 * 1000, /* the worker has other things to do */
};

static int record(struct worker *worker, const struct process_end *end, struct worker_round *round,
                  struct error *err)
{
    bool found;

    round->done++;
    return store_process_end(worker->pool, NULL, end, &found, err);
}

static int record_seen(struct worker *worker, const struct id *sandbox,
                       const struct agent_process *process, struct worker_round *round,
                       struct error *err)
{
    const struct process_end end = agent_process_end(process, sandbox);

    return record(worker, &end, round, err);
}

static int record_lost(struct worker *worker, const struct id *id, struct worker_round *round,
                       struct error *err)
{
    const struct process_end end = process_end_unknown(id, PROCESS_LOST);

    return record(worker, &end, round, err);
}

/* No agent knows of it any more: its log says whether one saw the end. */
static int settle_by_log(struct worker *worker, const struct store_process_open *process,
                         struct worker_round *round, struct error *err)
{
    struct agent_process outcome;
    struct error unneeded;
    int folder = -1;
    bool seen;

    if (process_log_folder(worker->config->state_dir, &process->sandbox, process->generation,
                           &folder, &unneeded) < 0)
        return record_lost(worker, &process->id, round, err);
    seen = process_log_outcome(folder, &process->id, &outcome, &unneeded) == 0 &&
           outcome.state == AGENT_PROCESS_ENDED;
    (void)close(folder);
    return seen ? record_seen(worker, &process->sandbox, &outcome, round, err)
                : record_lost(worker, &process->id, round, err);
}

/* The processes of one container. */
struct group {
    const struct store_process_open *processes;
    size_t count;
    int64_t deadline_usec; /* what is not settled by then waits for another round */
};

/* Whoever took an agent over makes logs as long as they may be, and many. */
static bool is_over(const struct group *group, size_t settled)
{
    return settled == group->count || (settled > 0 && monotonic_usec() > group->deadline_usec);
}

static struct group next_group(const struct store_process_open *processes, size_t count,
                               int64_t deadline_usec)
{
    size_t i = 1;

    while (i < count && id_equal(&processes[i].sandbox, &processes[0].sandbox) &&
           processes[i].generation == processes[0].generation)
        i++;
    return (struct group){processes, i, deadline_usec};
}

/* What the agent does not know was forgotten, or never came to it. */
static int settle_known(struct worker *worker, const struct group *group,
                        const struct agent_process *known, size_t known_count,
                        struct worker_round *round, struct error *err)
{
    int status = 0;

    for (size_t i = 0; !is_over(group, i) && status == 0; i++) {
        const struct store_process_open *process = &group->processes[i];
        const struct agent_process *live = agent_process_find(known, known_count, &process->id);

        if (live && live->state == AGENT_PROCESS_ENDED)
            status = record_seen(worker, &process->sandbox, live, round, err);
        else if (!live && process->is_settled)
            status = settle_by_log(worker, process, round, err);
    }
    return status;
}

static int settle_live(struct worker *worker, const struct group *group, struct worker_round *round,
                       struct error *err)
{
    _cleanup_agent_client_ struct agent_client *client = NULL;
    _cleanup_free_ struct agent_process *known = NULL;
    int64_t deadline = monotonic_usec() + AGENT_USEC;
    struct error unneeded;
    size_t count = 0;

    /* One that does not answer says nothing: it may be paused. */
    if (launcher_client_connect_agent(worker->launcher, &group->processes[0].sandbox,
                                      group->processes[0].generation, deadline, &client,
                                      &unneeded) < 0 ||
        agent_process_list(client, deadline, &known, &count, &unneeded) < 0)
        return 0;
    return settle_known(worker, group, known, count, round, err);
}

static int settle_group(struct worker *worker, const struct group *group,
                        struct worker_round *round, struct error *err)
{
    int status = 0;

    if (group->processes[0].is_up)
        return settle_live(worker, group, round, err);
    for (size_t i = 0; !is_over(group, i) && status == 0; i++)
        status = settle_by_log(worker, &group->processes[i], round, err);
    return status;
}

/* The index of the first group behind the one that the last round ended with. */
static size_t first_index(const struct worker *worker, const struct store_process_open *processes,
                          size_t count)
{
    size_t i = 0;

    while (i < count && memcmp(processes[i].sandbox.bytes, worker->settled.bytes, ID_BYTES) <= 0)
        i++;
    return i < count ? i : 0;
}

int worker_watch_processes(struct worker *worker, struct worker_round *ret_round, struct error *err)
{
    _cleanup_free_ struct store_process_open *processes = NULL;
    int64_t deadline = monotonic_usec() + ROUND_USEC;
    struct worker_round round = {.done = 0};
    size_t count = 0;
    int status = 0;

    if (store_process_lose_execs(worker->pool, worker->node, &round.done, err) < 0 ||
        store_processes_open(worker->pool, worker->node, &processes, &count, err) < 0)
        return -1;
    for (size_t i = first_index(worker, processes, count); i < count;) {
        const struct group group = next_group(processes + i, count - i, deadline);

        if (monotonic_usec() > deadline)
            break;
        /* One that cannot be settled holds none of the others up. */
        if (settle_group(worker, &group, &round, err) < 0)
            status = -1;
        worker->settled = processes[i].sandbox;
        i += group.count;
    }
    *ret_round = round;
    return status;
}

/* A process that stands still does not die, and its agent does not answer: it is let go on. */
void worker_end_processes(struct worker *worker, const struct id *id, uint32_t generation)
{
    _cleanup_agent_client_ struct agent_client *client = NULL;
    _cleanup_free_ struct agent_process *processes = NULL;
    int64_t deadline = monotonic_usec() + STOP_USEC;
    struct worker_round unneeded = {.done = 0};
    struct error failure;
    size_t count = 0;

    if (launcher_client_thaw(worker->launcher, id, generation, &failure) < 0 ||
        launcher_client_connect_agent(worker->launcher, id, generation, deadline, &client,
                                      &failure) < 0 ||
        agent_process_stop(client, 0, deadline, &processes, &count, &failure) < 0)
        return;
    /* What is not recorded now is in the logs. */
    for (size_t i = 0; i < count; i++)
        if (processes[i].state == AGENT_PROCESS_ENDED &&
            record_seen(worker, id, &processes[i], &unneeded, &failure) < 0)
            return;
}
