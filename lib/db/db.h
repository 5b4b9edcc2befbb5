/*
 * The pool of connections to PostgreSQL. libpq stays behind it: other folders see this header and
 * the store_*.h files, which hold all of the SQL.
 *
 * A pool connects when a connection is first needed and again when one was lost, after a growing
 * pause in which calls fail at once. Nothing waits for ever: for a connection of the pool, for the
 * server's answer and for the connect there are limits, after which the error is ERR_UNAVAILABLE
 * ("the database is away").
 *
 * Errors of every function that talks to PostgreSQL:
 *   ERR_UNAVAILABLE  no connection, it broke, or no answer in time. When it broke in the middle of
 *                    a call that writes, whether that was committed is unknown
 *   ERR_CONFLICT     a constraint or a trigger refused the change
 *   ERR_TOO_LARGE    the files of a sandbox would be over their limit
 *   ERR_QUOTA        a quota would be passed; with limit, use and when to try again
 *   ERR_INTERNAL     anything else, with the SQLSTATE and PostgreSQL's primary message (which holds
 *                    no parameter values)
 */
#ifndef LIB_DB_DB_H
#define LIB_DB_DB_H

#include <atoll/cleanup.h>
#include <atoll/error.h>
#include <atoll/id.h>
#include <stdbool.h>
#include <stddef.h>

struct db_pool;

/*
 * Whose rows a transaction sees and changes: row-level security enforces it underneath what each
 * query says. A transaction of an operator sees those of all tenants; only operator routes ask
 * for it.
 */
struct db_scope {
    struct id tenant;
    bool has_project; /* of the tenant, one project only */
    struct id project;
    bool is_operator;
};

/*
 * Makes a pool of at most `size` connections (1 or more) for the libpq connection string `url`.
 * Does not connect: fails only when memory is short or the string is malformed. `program` appears
 * in pg_stat_activity. The pool is thread-safe; the caller frees it when no thread uses it.
 */
int db_pool_create(const char *url, size_t size, const char *program, struct db_pool **ret_pool,
                   struct error *err);

void db_pool_free(struct db_pool *pool);

DEFINE_CLEANUP(struct db_pool *, db_pool, db_pool_free)
#define _cleanup_db_pool_ _cleanup_(cleanup_db_pool)

/* One round trip that says whether the database answers. */
int db_ping(struct db_pool *pool, struct error *err);

/*
 * Why the last connection failed or broke, on one line, for the operator's log: it names hosts and
 * users (never a password), which a client should not learn. "" since a connect succeeded.
 */
void db_pool_failure(struct db_pool *pool, char text[static ERROR_MESSAGE_MAX]);

#endif
