/* What the tests of the stores share: a stored sandbox, a run of it, tenants. */
#ifndef TESTS_UNIT_SUPPORT_STORE_H
#define TESTS_UNIT_SUPPORT_STORE_H

#include "lib/db/store_container.h"
#include "lib/db/store_process.h"
#include "lib/db/store_run.h"
#include "lib/db/store_sandbox.h"

#include <atoll/id.h>

/* The tenant that the first migration makes. */
extern const struct id default_tenant;
extern const struct db_scope default_scope; /* all of its rows */

/* Idle timeout 3600 s, lifetime 86400 s. */
extern const struct store_lifetime long_lifetime;
extern const struct store_origin test_origin;

/* A second tenant, made now. */
struct id make_tenant(const char *name);

/* A shell definition without files; it owns nothing, so it must not be freed. */
struct sandbox_definition simple_definition(void);

/* Stores a simple definition for the tenant. */
struct id make_sandbox(struct db_pool *pool, const struct id *tenant);

/* A run on node "node-1" with a deadline in 30 s. */
struct store_run make_run(const struct id *sandbox);

/* Begins it; returns the generation. */
uint32_t begin_run(struct db_pool *pool, const struct id *tenant, const struct store_run *run);

/* Its successful end. */
struct store_run_end completed(const struct store_run *run, uint32_t generation);

/* A delete for another thread. The deletion is there, for store_deletion_free, when the thread
 * returned other than NULL. */
struct delete_race {
    struct db_pool *pool;
    struct id id;
    struct store_deletion deletion;
};

/* Begins the delete; for pthread_create. */
void *run_delete_race(void *race);

/* postgres_number and postgres_value with the id in the place of %s. */
long number_of(const char *sql, const struct id *id);
char *value_of(const char *sql, const struct id *id);

/* A container without a main command; it owns nothing, so it must not be freed. */
struct container_spec simple_container(void);

/* Stores a container without a main command in state creating, generation 1, on node "node-1". */
struct id make_container(struct db_pool *pool, const struct id *tenant);

/* The same, in state running. */
struct id make_running_container(struct db_pool *pool, const struct id *tenant);

/* A process on node "node-1" that a test may change before begin_process, which returns its id. */
struct store_process_new simple_process(const struct id *container, enum store_process_kind kind);
struct id begin_process(struct db_pool *pool, const struct store_process_new *process);

/* Takes a step from `from` to `to`; fails the test when it cannot be taken. */
void step_container(struct db_pool *pool, const struct id *tenant, const struct id *id,
                    uint32_t generation, enum sandbox_state from, enum sandbox_state to);

#endif
