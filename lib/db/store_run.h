/*
 * Executions (rows of `processes`) and the servers that own them. See store_sandbox.h for tenants,
 * transactions and errors.
 */
#ifndef LIB_DB_STORE_RUN_H
#define LIB_DB_STORE_RUN_H

#include "lib/db/store_sandbox.h"

#include <atoll/id.h>
#include <atoll/sandbox.h>
#include <stdbool.h>
#include <stdint.h>

enum { STORE_NODE_MAX = 63 }; /* bytes of a node's id */

/* A new execution. */
struct store_run {
    struct id id; /* new */
    struct id sandbox;
    const char *node_id; /* the server's, as registered */
    struct id boot_id;
    uint64_t deadline_ms; /* from now until it must have ended; a minute later it counts as lost */
    uint32_t cpu_milli;   /* what it gets beside the definition's memory, for quotas */
    uint32_t pids_max;
};

/*
 * Begins an execution: state running, one more active run, the next generation, and the definition
 * with its files comes back (the caller frees it). ERR_NOT_FOUND when the sandbox is missing, being
 * deleted, paused or failed. ERR_QUOTA, with an event, when a quota of its tenant or project is
 * used up. Committed asynchronously, unless the scope has a claim: nothing has been acknowledged
 * yet, and a crash of PostgreSQL that forgets it is made good by store_run_end.
 */
int store_run_begin(struct db_pool *pool, const struct db_scope *scope, const struct store_run *run,
                    const struct store_origin *origin, uint32_t *ret_generation,
                    struct sandbox_definition *ret_definition, struct error *err);

/* How an execution ended. Numbers that are not known are negative. */
struct store_run_end {
    struct id id;
    struct id sandbox;
    uint32_t generation;
    const char *node_id;
    struct id boot_id;
    enum process_state state; /* not running */
    int exit_code;            /* -1: none */
    int signal;               /* 0: none */
    bool timed_out;
    bool oom_killed;
    bool truncated;
    int64_t cpu_usec;
    int64_t memory_peak_bytes;
    int64_t wall_usec;
    bool in_doubt; /* the answer to its begin was lost, and it did not run */
};

/*
 * Records the end, durably: one active run less, back to stopped at none. May be repeated (an
 * outcome that is there stays), may come after the worker has marked the run lost (the outcome
 * replaces that), and after PostgreSQL forgot the begin (the row is made, unless the run is in
 * doubt). Succeeds whatever became of the sandbox.
 */
int store_run_end(struct db_pool *pool, const struct db_scope *scope,
                  const struct store_run_end *end, const struct store_origin *origin,
                  struct error *err);

/*
 * A server's start: from now on the runs that the node began under another boot id are lost. A
 * node id belongs to one running server at a time: two that share one would each end the other's
 * runs.
 */
int store_node_register(struct db_pool *pool, const char *node_id, const struct id *boot_id,
                        struct error *err);

#endif
