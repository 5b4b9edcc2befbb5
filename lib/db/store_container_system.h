/*
 * What the worker does with the containers of its node, across all tenants, as the role
 * atoll_system. Steps of the state machine are store_container_step's. For errors see db.h.
 */
#ifndef LIB_DB_STORE_CONTAINER_SYSTEM_H
#define LIB_DB_STORE_CONTAINER_SYSTEM_H

#include "lib/db/store_container.h"

/* A container as the worker needs it. */
struct store_container_place {
    struct id id;
    struct id tenant;
    uint32_t generation;
    enum sandbox_state state;
    bool has_command;    /* it has a main command */
    uint32_t in_state_s; /* seconds since its state last changed */
};

/* In the order of ids. The caller frees *ret_places, which is NULL when there are none. */
int store_containers_up(struct db_pool *pool, const char *node,
                        struct store_container_place **ret_places, size_t *ret_count,
                        struct error *err);

/*
 * Stops at most `limit` of the node's containers that nobody has used for their idle timeout: state
 * stopped, so that no use of them can begin. The caller ends their sandboxes. Durable; the caller
 * frees *ret_places.
 */
int store_containers_stop_idle(struct db_pool *pool, const char *node, uint32_t limit,
                               struct store_container_place **ret_places, size_t *ret_count,
                               struct error *err);

/*
 * Keeps of `ids` those that no container has, moved to the front, and sets *count. A disk is made
 * after its row is committed, so what has no row here has lost it.
 */
int store_containers_missing(struct db_pool *pool, struct id *ids, size_t *count,
                             struct error *err);

/* One generation of a container. */
struct store_generation {
    struct id id;
    uint32_t generation;
};

/*
 * Keeps of `generations` those whose logs nobody can or shall read any more, moved to the front,
 * and sets *count: no container has the id, or all of its processes of that generation, and the
 * generation itself, ended more than `retention_s` ago.
 */
int store_generations_forgotten(struct db_pool *pool, uint32_t retention_s,
                                struct store_generation *generations, size_t *count,
                                struct error *err);

/* Whether the container still is in this generation and state. */
int store_container_is_in(struct db_pool *pool, const struct store_container_place *place,
                          bool *ret_is_in, struct error *err);

#endif
