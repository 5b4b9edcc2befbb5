/*
 * One connection to PostgreSQL in libpq's non-blocking mode, so that every wait has a deadline.
 * Internal to lib/db. Not thread-safe: the pool gives a connection to one thread at a time.
 */
#ifndef LIB_DB_CONNECTION_H
#define LIB_DB_CONNECTION_H

#include <atoll/cleanup.h>
#include <atoll/error.h>
#include <postgresql/libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

DEFINE_CLEANUP(PGresult *, pg_result, PQclear)
#define _cleanup_pg_result_ _cleanup_(cleanup_pg_result)

enum {
    DB_CONNECT_TIMEOUT_S = 3,       /* for each host of the connection string */
    DB_STATEMENT_TIMEOUT_MS = 5000, /* PostgreSQL cancels a statement that takes longer */
    DB_CALL_TIMEOUT_MS = 15000,     /* we give up on a server that does not even do that */
    DB_PREPARED_MAX = 256,
};

/* A statement; prepared on a connection at its first use there. `name` is unique in lib/db. */
struct db_statement {
    const char *name;
    const char *sql;
};

struct db_connection {
    PGconn *pg;
    const struct db_statement *prepared[DB_PREPARED_MAX];
    size_t prepared_count;
    int64_t released_usec; /* monotonic; the pool's */
};

/* Connects, blocking for a bounded time. ERR_UNAVAILABLE with libpq's reason when it fails. */
int db_connection_open(const char *url, const char *program, struct db_connection **ret_connection,
                       struct error *err);

/* NULL is allowed. */
void db_connection_close(struct db_connection *connection);

/* True when an idle connection still is one: no error, and the server has not closed it. */
bool db_connection_usable(const struct db_connection *connection);

/* Sends what is queued; takes in what arrives meanwhile, so that neither side blocks the other. */
int db_connection_flush(struct db_connection *connection, int64_t deadline_usec, struct error *err);

/*
 * The next result as of PQgetResult, which may be NULL; the caller clears it. Fails when the
 * connection breaks or the deadline (monotonic) passes: it is useless then.
 */
int db_connection_result(struct db_connection *connection, int64_t deadline_usec,
                         PGresult **ret_result, struct error *err);

/*
 * Runs SQL text outside of a pipeline, which may be several statements; the last one's result is
 * returned, or the state PGRES_COPY_IN is reached. An error of any statement fails the call.
 */
int db_connection_query(struct db_connection *connection, const char *sql, int64_t deadline_usec,
                        PGresult **ret_result, struct error *err);

/* Fills `err` from a failed result, as db.h promises. Returns -1. */
int db_error_from_result(const PGresult *result, struct error *err);

/* ERR_UNAVAILABLE, "the database is away". Returns -1. */
int db_error_away(struct error *err);

/* Copies libpq's message for the operator: one line, bounded. */
void db_message_line(const char *message, char text[static ERROR_MESSAGE_MAX]);

#endif
