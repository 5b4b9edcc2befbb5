/* What the stores need of the pool beyond db.h. Internal to lib/db. */
#ifndef LIB_DB_POOL_H
#define LIB_DB_POOL_H

#include "lib/db/connection.h"
#include "lib/db/db.h"

/*
 * A connection for this thread alone, made if need be; given back with db_pool_release. When all
 * are taken the thread waits for one, in turns by tenant (turns.h); NULL stands for no tenant.
 */
int db_pool_acquire(struct db_pool *pool, const struct id *tenant,
                    struct db_connection **ret_connection, struct error *err);

/* Takes a connection back; one that is broken or in the middle of something is closed. */
void db_pool_release(struct db_pool *pool, struct db_connection *connection);

#endif
