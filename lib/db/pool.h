/* What the stores need of the pool beyond db.h. Internal to lib/db. */
#ifndef LIB_DB_POOL_H
#define LIB_DB_POOL_H

#include "lib/db/connection.h"
#include "lib/db/db.h"

/*
 * What wants a connection. Those that may join others, look-ups, get only one at once for every
 * two processors. One that waits joins another when it is its turn and the other gets a connection:
 * the thread of the other does both in one exchange, and one thread wakes up where two would.
 */
struct db_request {
    const struct id *tenant; /* whose turn it takes (turns.h); NULL: nobody's */
    /* Whether it can be done by another thread on the connection, as it is; NULL: it cannot. */
    bool (*may_join)(const struct db_request *request, const struct db_connection *connection);
    struct db_request *next;  /* the first that joined it, and so on */
    struct db_waiter *waiter; /* the pool's */
};

/*
 * A connection for this thread alone, made if need be; given back with db_pool_release. When all
 * are taken the thread waits for one. NULL stands for a request of nobody that joins none. For what
 * may join `*ret_connection` can be NULL: another thread has done it. Whoever gets a connection
 * does what is in the list from `request` on, and then calls db_pool_tell.
 */
int db_pool_acquire(struct db_pool *pool, struct db_request *request,
                    struct db_connection **ret_connection, struct error *err);

/* Takes back the connection that `request` got; one that is broken or in the middle of something is
 * closed. */
void db_pool_release(struct db_pool *pool, const struct db_request *request,
                     struct db_connection *connection);

/* Wakes the threads of those that joined `request`: they are done. */
void db_pool_tell(struct db_request *request);

#endif
