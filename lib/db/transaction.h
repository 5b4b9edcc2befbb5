/*
 * One transaction in one network round trip: libpq's pipeline mode sends the tenant, every
 * statement and a sync at once. Internal to lib/db.
 *
 * The statements up to a sync are one implicit transaction (PostgreSQL documentation, 55.2.4,
 * "Pipelining"): it commits at the sync, or none of it happened. The tenant is set by
 * set_config(..., is_local => true), which ends with the transaction however it ends, so a reused
 * connection never has the tenant of another call.
 *
 * Parameters and results are in binary format; the SQL casts each parameter, so that its type does
 * not depend on how PostgreSQL reads the context.
 */
#ifndef LIB_DB_TRANSACTION_H
#define LIB_DB_TRANSACTION_H

#include "lib/db/connection.h"
#include "lib/db/db.h"

#include <atoll/id.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DB_CALLS_MAX = 8, DB_PARAMS_MAX = 32 };

/* A parameter. `data` is borrowed and may be NULL for SQL NULL, unless the value is inside. */
struct db_param {
    const void *data;
    size_t size;
    bool inside;
    uint8_t value[8];
};

struct db_param db_null(void);
struct db_param db_uuid(const struct id *id); /* NULL allowed */
struct db_param db_text(const char *text);    /* NULL allowed; for ::text */
struct db_param db_bytes(const void *data, size_t size);
struct db_param db_int8(int64_t value);  /* for ::bigint */
struct db_param db_known(int64_t value); /* the same; NULL for what is negative: not known */
struct db_param db_bool(bool value);

/* An array parameter under construction, in PostgreSQL's binary format (array_recv). */
struct db_array {
    uint8_t *data;
    size_t size;
    size_t capacity;
    uint32_t count;
    bool failed; /* memory was short: db_array_param fails */
};

/* The element types in use; the values are PostgreSQL's (pg_type.dat). */
enum db_type { DB_BOOL = 16, DB_BYTEA = 17, DB_INT8 = 20, DB_TEXT = 25, DB_UUID = 2950 };

void db_array_begin(struct db_array *array, enum db_type type);
void db_array_add(struct db_array *array, const void *data, size_t size);
void db_array_add_int8(struct db_array *array, int64_t value);

/* Completes the array; the parameter borrows it. */
int db_array_param(struct db_array *array, struct db_param *ret_param, struct error *err);

void db_array_done(struct db_array *array);
#define _cleanup_db_array_ _cleanup_(db_array_done)

struct db_call {
    const struct db_statement *statement;
    const struct db_param *params;
    size_t param_count;
};

/* A call whose parameters are the elements of a true array. */
#define DB_CALL(statement_, array_)                                                                \
    {                                                                                              \
        &(statement_), (array_), sizeof(array_) / sizeof((array_)[0])                              \
    }

enum db_commit {
    DB_DURABLE,
    DB_RELAXED, /* may be forgotten by a crash of PostgreSQL within the next second */
    DB_READ,    /* changes nothing: there is nothing to keep */
    DB_LOOKUP,  /* reads a few rows by their key: on a busy pool, in one exchange with others */
};

/*
 * Runs the calls as one transaction with the rows of `scope` (NULL: no tenant's). On success
 * ret_results[i] is the rows of call i, the caller's to clear; on failure nothing happened, or,
 * with ERR_UNAVAILABLE, it is unknown whether all of it did.
 *
 * An open claim of the scope is written by the first durable transaction, in front of the calls.
 * ERR_CONFLICT when its key is there already, then and for every durable transaction afterwards.
 */
int db_run(struct db_pool *pool, const struct db_scope *scope, enum db_commit commit,
           const struct db_call *calls, size_t count, PGresult **ret_results, struct error *err);

/* Clears results and sets them to NULL. */
void db_results_clear(PGresult **results, size_t count);

/* Fields of a result in binary format. A NULL is 0, false or all zeros. */
int64_t db_get_int(const PGresult *result, int row, int column); /* smallint, integer, bigint */
struct id db_get_uuid(const PGresult *result, int row, int column);
bool db_get_bool(const PGresult *result, int row, int column);
int64_t db_get_time(const PGresult *result, int row, int column); /* Unix microseconds */

/* The field's text; it belongs to the result. NULL for NULL. */
const char *db_get_text(const PGresult *result, int row, int column);

/* Copies a text or bytea with a NUL beyond its size; `ret_size` may be NULL. A NULL gives NULL. */
int db_copy(const PGresult *result, int row, int column, char **ret_data, size_t *ret_size,
            struct error *err);

#endif
