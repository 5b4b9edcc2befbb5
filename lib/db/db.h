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
#include <stdint.h>

struct db_pool;

enum { DB_FINGERPRINT_SIZE = 32 };

/* How far the claim of a request has come. */
enum db_claim_state {
    DB_CLAIM_OPEN,    /* not written: the request has changed nothing yet */
    DB_CLAIM_HELD,    /* committed, with the request's first effect */
    DB_CLAIM_REFUSED, /* the key was there already: nothing was, or will be, changed */
    DB_CLAIM_UNKNOWN, /* the answer to its commit was lost */
};

/*
 * The idempotency key of a request (docs/api/idempotency.md). The request's first durable
 * transaction writes it, so that the key is there exactly when an effect is. One thread uses it.
 */
struct db_claim {
    const char *key;
    struct id tenant;
    uint8_t fingerprint[DB_FINGERPRINT_SIZE]; /* SHA-256 of what was asked */
    struct id resource;                       /* what the effect is on; zeros: nothing with an id */
    struct id boot_id;                        /* of the server that works on the request */
    enum db_claim_state state;
};

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
    struct db_claim *claim; /* of the request; NULL: it came without a key */
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
