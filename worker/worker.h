/*
 * The worker's tasks. Each is one bounded round over what the database says is due; several workers
 * may run, because every claim in the database belongs to one of them. A round that fails has lost
 * nothing: the next one finds the same work again.
 */
#ifndef WORKER_WORKER_H
#define WORKER_WORKER_H

#include "lib/db/db.h"
#include "lib/db/store_run.h"
#include "lib/runtime/launcher_client.h"

#include <atoll/config.h>
#include <atoll/error.h>
#include <stdint.h>

struct worker {
    const struct config *config;
    struct db_pool *pool;
    struct launcher_client *launcher;
    char node[STORE_NODE_MAX + 1]; /* whose containers it looks after */
    struct id watched;             /* the last container that worker_watch_commands came to */
    struct id settled;             /* the same of worker_watch_processes */
    struct id pruned;              /* the last row of `processes` that worker_retain came to */
};

/* What a round did, for the log. The tasks log what they removed themselves. */
struct worker_round {
    uint64_t done;
    bool more; /* a full batch: there may be more of it right away */
};

/*
 * Removes sandboxes whose idle timeout or lifetime is over, and finishes deletions that a server
 * left: destroys their live runs, then erases them. A sandbox whose runs cannot be destroyed stays
 * in state deleting and is claimed again.
 */
int worker_expire(struct worker *worker, struct worker_round *ret_round, struct error *err);

/*
 * Marks runs lost that nobody will end, then destroys native sandboxes that belong to no live run
 * and are older than the time a server needs from the launcher's reply to its own bookkeeping.
 */
int worker_reconcile(struct worker *worker, struct worker_round *ret_round, struct error *err);

/* Stops containers that nobody has used for their idle timeout; their disks stay. */
int worker_stop_idle(struct worker *worker, struct worker_round *ret_round, struct error *err);

/*
 * Brings rows of the node's containers and what its launcher has together: one that is up and has
 * no sandbox is stopped (lost), one whose server ended while it was being created runs or has
 * failed, one is frozen that should not be, or the reverse. Live sandboxes without a row are
 * worker_reconcile's.
 */
int worker_reconcile_containers(struct worker *worker, struct worker_round *ret_round,
                                struct error *err);

/* Removes kept disks whose container has no row any more. */
int worker_remove_disks(struct worker *worker, struct worker_round *ret_round, struct error *err);

/* Removes logs of generations that no container has any more, or that ended longer ago than
 * sandbox.log_retention_seconds. */
int worker_remove_logs(struct worker *worker, struct worker_round *ret_round, struct error *err);

/*
 * Stops containers whose main command has ended, and records how. A round is bounded in time,
 * whatever the sandboxes' agents do; the next one goes on behind it.
 */
int worker_watch_commands(struct worker *worker, struct worker_round *ret_round, struct error *err);

/*
 * Kills all that runs in a container's generation, and records the real ends, where its agent says
 * them in time.
 */
void worker_end_processes(struct worker *worker, const struct id *id, uint32_t generation);

/*
 * Destroys a container's generation, its processes first, or all of them (0) as they are, and
 * records what it used. One that is not there is no error.
 */
int worker_destroy_container(struct worker *worker, const struct id *id, uint32_t generation,
                             struct error *err);

/*
 * Records the ends of processes that nobody has asked about, from their agents, or from their logs
 * when their container has ended; one whose wait status nobody saw is lost. Bounded in time as
 * above.
 */
int worker_watch_processes(struct worker *worker, struct worker_round *ret_round,
                           struct error *err);

/* Removes rows that are older than the configuration says; makes partitions to come. */
int worker_retain(struct worker *worker, struct worker_round *ret_round, struct error *err);

#endif
