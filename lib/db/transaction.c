#include "lib/db/transaction.h"

#include "lib/base/util.h"
#include "lib/db/claim.h"
#include "lib/db/pool.h"

#include <string.h>

/*
 * What is not set here is not set at all: settings end with their transaction, and connections are
 * made with synchronous_commit on (connection.c).
 */
static const struct db_statement begin = {"begin",
                                          "SELECT set_config('atoll.tenant', $1::text, true)"};
static const struct db_statement begin_relaxed = {
    "begin_relaxed", "SELECT set_config('atoll.tenant', $1::text, true),"
                     " set_config('synchronous_commit', 'off', true)"};
static const struct db_statement begin_scoped = {
    "begin_scoped", "SELECT set_config('atoll.tenant', $1::text, true),"
                    " set_config('synchronous_commit', $2::text, true),"
                    " set_config('atoll.project', $3::text, true),"
                    " set_config('atoll.operator', $4::text, true)"};

static bool is_prepared(const struct db_connection *connection,
                        const struct db_statement *statement)
{
    for (size_t i = 0; i < connection->prepared_count; i++)
        if (connection->prepared[i] == statement)
            return true;
    return false;
}

static int send_call(struct db_connection *connection, const struct db_call *call, bool prepare)
{
    const char *values[DB_PARAMS_MAX];
    int sizes[DB_PARAMS_MAX];
    int formats[DB_PARAMS_MAX];

    for (size_t i = 0; i < call->param_count; i++) {
        const struct db_param *param = &call->params[i];

        values[i] = param->inside ? (const char *)param->value : param->data;
        sizes[i] = (int)param->size;
        formats[i] = 1;
    }
    if (prepare &&
        !PQsendPrepare(connection->pg, call->statement->name, call->statement->sql, 0, NULL))
        return -1;
    if (!PQsendQueryPrepared(connection->pg, call->statement->name, (int)call->param_count, values,
                             sizes, formats, 1))
        return -1;
    return 0;
}

/* A result that must be there, of a Parse or of a statement, and the NULL that ends it. */
static int take_result(struct db_connection *connection, int64_t deadline_usec,
                       PGresult **ret_result, struct error *err)
{
    PGresult *end = NULL;

    if (db_connection_result(connection, deadline_usec, ret_result, err) < 0)
        return -1;
    if (!*ret_result)
        return db_error_away(err);
    if (db_connection_result(connection, deadline_usec, &end, err) < 0)
        return -1;
    PQclear(end);
    return 0;
}

/* The outcome of a transaction while its results come in. */
struct outcome {
    bool failed;  /* `err` is set, by the first statement that failed */
    bool settled; /* PostgreSQL has answered the commit */
    struct error *err;
};

static void check_result(const PGresult *result, struct outcome *outcome)
{
    ExecStatusType status = PQresultStatus(result);

    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK || outcome->failed)
        return;
    outcome->failed = true;
    (void)db_error_from_result(result, outcome->err);
}

static int receive_call(struct db_connection *connection, const struct db_call *call,
                        bool was_prepared, int64_t deadline_usec, struct outcome *outcome,
                        PGresult **ret_result)
{
    if (!was_prepared) {
        _cleanup_pg_result_ PGresult *parsed = NULL;

        if (take_result(connection, deadline_usec, &parsed, outcome->err) < 0)
            return -1;
        check_result(parsed, outcome);
        /* A prepared statement outlives the transaction, also one that fails later. */
        if (PQresultStatus(parsed) == PGRES_COMMAND_OK)
            connection->prepared[connection->prepared_count++] = call->statement;
    }
    if (take_result(connection, deadline_usec, ret_result, outcome->err) < 0)
        return -1;
    check_result(*ret_result, outcome);
    return 0;
}

/* The answer to the sync is the answer to the commit. */
static int receive_sync(struct db_connection *connection, int64_t deadline_usec,
                        struct outcome *outcome)
{
    for (;;) {
        _cleanup_pg_result_ PGresult *result = NULL;

        if (db_connection_result(connection, deadline_usec, &result, outcome->err) < 0)
            return -1;
        if (!result || PQstatus(connection->pg) != CONNECTION_OK)
            return db_error_away(outcome->err);
        if (PQresultStatus(result) == PGRES_PIPELINE_SYNC) {
            outcome->settled = true;
            return 0;
        }
        check_result(result, outcome);
    }
}

/* Queues everything and sends it. */
static int send_calls(struct db_connection *connection, const struct db_call *calls, size_t count,
                      const bool *was_prepared, int64_t deadline_usec, struct error *err)
{
    if (!PQenterPipelineMode(connection->pg))
        return db_error_away(err);
    for (size_t i = 0; i < count; i++)
        if (send_call(connection, &calls[i], !was_prepared[i]) < 0)
            return db_error_away(err);
    if (!PQpipelineSync(connection->pg))
        return db_error_away(err);
    return db_connection_flush(connection, deadline_usec, err);
}

/* What goes before the calls: the tenant, and the claim. */
enum { ALL_CALLS_MAX = DB_CALLS_MAX + 2 };

static int exchange(struct db_connection *connection, const struct db_call *calls, size_t count,
                    PGresult **results, struct outcome *outcome)
{
    int64_t deadline = monotonic_usec() + DB_CALL_TIMEOUT_MS * INT64_C(1000);
    struct error *err = outcome->err;
    bool was_prepared[ALL_CALLS_MAX];

    if (connection->prepared_count + count > DB_PREPARED_MAX)
        return error_set(err, ERR_INTERNAL, "too many statements for one connection");
    for (size_t i = 0; i < count; i++)
        was_prepared[i] = is_prepared(connection, calls[i].statement);
    if (send_calls(connection, calls, count, was_prepared, deadline, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        if (receive_call(connection, &calls[i], was_prepared[i], deadline, outcome, &results[i]) <
            0)
            return -1;
    if (receive_sync(connection, deadline, outcome) < 0)
        return -1;
    if (!PQexitPipelineMode(connection->pg))
        return db_error_away(err);
    return outcome->failed ? -1 : 0;
}

/* The statement that begins a transaction, with what its parameters borrow. */
struct beginning {
    char tenant[ID_TEXT_SIZE];
    char project[ID_TEXT_SIZE];
    struct db_param params[4];
    struct db_call call;
};

static void fill_beginning(struct beginning *beginning, const struct db_scope *scope,
                           enum db_commit commit)
{
    *beginning = (struct beginning){.tenant = "", .project = ""};
    if (scope)
        id_format(&scope->tenant, beginning->tenant);
    if (scope && scope->has_project)
        id_format(&scope->project, beginning->project);
    beginning->params[0] = db_text(beginning->tenant);
    beginning->params[1] = db_text(commit == DB_RELAXED ? "off" : "on");
    beginning->params[2] = db_text(beginning->project);
    beginning->params[3] = db_text(scope && scope->is_operator ? "on" : "off");
    if (scope && (scope->has_project || scope->is_operator))
        beginning->call = (struct db_call)DB_CALL(begin_scoped, beginning->params);
    else if (commit == DB_RELAXED)
        beginning->call = (struct db_call){&begin_relaxed, beginning->params, 1};
    else
        beginning->call = (struct db_call){&begin, beginning->params, 1};
}

/* Runs all calls on a connection of the pool; on failure `results` are what came nevertheless. */
static int run_all(struct db_pool *pool, const struct id *tenant, const struct db_call *calls,
                   size_t count, PGresult **results, struct outcome *outcome)
{
    struct db_connection *connection;
    int status;

    if (db_pool_acquire(pool, tenant, &connection, outcome->err) < 0) {
        outcome->settled = true; /* nothing was sent */
        return -1;
    }
    status = exchange(connection, calls, count, results, outcome);
    db_pool_release(pool, connection);
    return status;
}

int db_run(struct db_pool *pool, const struct db_scope *scope, enum db_commit commit,
           const struct db_call *calls, size_t count, PGresult **ret_results, struct error *err)
{
    struct db_claim *claim = scope && commit == DB_DURABLE ? scope->claim : NULL;
    struct db_param claim_params[DB_CLAIM_PARAMS];
    struct db_call all[ALL_CALLS_MAX];
    PGresult *results[ALL_CALLS_MAX] = {NULL};
    struct outcome outcome = {.err = err};
    struct beginning beginning;
    size_t before = 1;
    int status;

    if (count > DB_CALLS_MAX)
        return error_set(err, ERR_INTERNAL, "too many statements for one transaction");
    if (claim && claim->state == DB_CLAIM_REFUSED)
        return db_claim_refuse(err);
    if (claim && claim->state != DB_CLAIM_OPEN)
        claim = NULL;
    fill_beginning(&beginning, scope, commit);
    all[0] = beginning.call;
    if (claim)
        db_claim_fill(claim, claim_params, &all[before++]);
    for (size_t i = 0; i < count; i++)
        all[before + i] = calls[i];
    status = run_all(pool, scope ? &scope->tenant : NULL, all, before + count, results, &outcome);
    if (claim)
        status = db_claim_settle(claim, status, outcome.settled, results[1], err);
    if (status == 0)
        for (size_t i = 0; i < count; i++)
            ret_results[i] = TAKE_PTR(results[before + i]);
    db_results_clear(results, before + count);
    return status;
}

void db_results_clear(PGresult **results, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        PQclear(results[i]);
        results[i] = NULL;
    }
}

int db_ping(struct db_pool *pool, struct error *err)
{
    return db_run(pool, NULL, DB_READ, NULL, 0, NULL, err);
}
