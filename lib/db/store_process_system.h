/*
 * What the worker does about processes of containers on its node, across all tenants, as the role
 * atoll_system. Their ends are store_process_end's. For errors see db.h.
 */
#ifndef LIB_DB_STORE_PROCESS_SYSTEM_H
#define LIB_DB_STORE_PROCESS_SYSTEM_H

#include "lib/db/store_process.h"

/* A process that has no end yet. */
struct store_process_open {
    struct id id;
    struct id sandbox;
    uint32_t generation;
    bool is_up;      /* its container has, or may have, the process's generation */
    bool is_settled; /* it was begun so long ago that its start is not under way any more */
};

/*
 * The detached ones, in the order of their containers. The caller frees *ret_processes, which is
 * NULL when there are none.
 */
int store_processes_open(struct db_pool *pool, const char *node,
                         struct store_process_open **ret_processes, size_t *ret_count,
                         struct error *err);

/*
 * Marks execs lost whose request ended without their end: its server has started anew since, which
 * ended them too, or could not write it; then a minute has passed since their deadline.
 */
int store_process_lose_execs(struct db_pool *pool, const char *node, uint64_t *ret_count,
                             struct error *err);

#endif
