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

/* What goes before the calls: the tenant, and the claim. */
enum { ALL_CALLS_MAX = DB_CALLS_MAX + 2 };

/* A transaction on its way. */
struct transaction {
    struct db_request request; /* first: the pool knows it by this */
    const struct db_call *calls;
    size_t count;
    PGresult **results; /* on failure what came nevertheless */
    bool was_prepared[ALL_CALLS_MAX];
    size_t first; /* of the calls that are sent: 1 where it goes on with the one before */
    bool failed;  /* `err` is set, by the first statement that failed */
    bool aborted; /* by that of another: it did not come to its turn */
    bool settled; /* PostgreSQL has answered the commit, or nothing was sent */
    int status;
    struct error *err;
};

static void check_result(const PGresult *result, struct transaction *transaction)
{
    ExecStatusType status = PQresultStatus(result);

    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK || transaction->failed)
        return;
    transaction->failed = true;
    transaction->aborted = status == PGRES_PIPELINE_ABORTED;
    (void)db_error_from_result(result, transaction->err);
}

static int receive_call(struct db_connection *connection, struct transaction *transaction, size_t i,
                        int64_t deadline_usec)
{
    if (!transaction->was_prepared[i]) {
        _cleanup_pg_result_ PGresult *parsed = NULL;

        if (take_result(connection, deadline_usec, &parsed, transaction->err) < 0)
            return -1;
        check_result(parsed, transaction);
        /* A prepared statement outlives the transaction, also one that fails later. */
        if (PQresultStatus(parsed) == PGRES_COMMAND_OK)
            connection->prepared[connection->prepared_count++] = transaction->calls[i].statement;
    }
    if (take_result(connection, deadline_usec, &transaction->results[i], transaction->err) < 0)
        return -1;
    check_result(transaction->results[i], transaction);
    return 0;
}

/* The answer to the sync is the answer to the commit. */
static int receive_sync(struct db_connection *connection, struct transaction *transaction,
                        int64_t deadline_usec)
{
    for (;;) {
        _cleanup_pg_result_ PGresult *result = NULL;

        if (db_connection_result(connection, deadline_usec, &result, transaction->err) < 0)
            return -1;
        if (!result || PQstatus(connection->pg) != CONNECTION_OK)
            return db_error_away(transaction->err);
        if (PQresultStatus(result) == PGRES_PIPELINE_SYNC) {
            transaction->settled = true;
            return 0;
        }
        check_result(result, transaction);
    }
}

static struct transaction *next_of(const struct transaction *transaction)
{
    return (struct transaction *)transaction->request.next;
}

/* Whether what ends with `transaction` is committed by it, in a list that ends before `end`. */
static bool is_last(const struct transaction *transaction, const struct transaction *end)
{
    const struct transaction *next = next_of(transaction);

    return next == end || next->first == 0;
}

/* Queues a transaction, but for what the one before it has said. */
static int send_transaction(struct db_connection *connection, struct transaction *transaction,
                            bool commits)
{
    for (size_t i = transaction->first; i < transaction->count; i++) {
        const struct db_call *call = &transaction->calls[i];

        transaction->was_prepared[i] = is_prepared(connection, call->statement);
        if (send_call(connection, call, !transaction->was_prepared[i]) < 0)
            return -1;
    }
    return !commits || PQpipelineSync(connection->pg) ? 0 : -1;
}

/* Queues those from `first` to `end`, and sends them. Where results are still due to others, who
 * gave up on them, nothing more is waited for: the connection is closed when it is given back. */
static int send_all(struct db_connection *connection, struct transaction *first,
                    const struct transaction *end, int64_t deadline_usec, struct error *err)
{
    if (PQpipelineStatus(connection->pg) != PQ_PIPELINE_OFF || !PQenterPipelineMode(connection->pg))
        return db_error_away(err);
    for (struct transaction *each = first; each != end; each = next_of(each))
        if (send_transaction(connection, each, is_last(each, end)) < 0)
            return db_error_away(err);
    return db_connection_flush(connection, deadline_usec, err);
}

static int receive_transaction(struct db_connection *connection, struct transaction *transaction,
                               bool commits, int64_t deadline_usec)
{
    for (size_t i = transaction->first; i < transaction->count; i++)
        if (receive_call(connection, transaction, i, deadline_usec) < 0)
            return -1;
    return commits ? receive_sync(connection, transaction, deadline_usec) : 0;
}

/* Does those from `first` to `end` (NULL: all) in one round trip; each has its own status. */
static void exchange(struct db_connection *connection, struct transaction *first,
                     const struct transaction *end)
{
    int64_t deadline = monotonic_usec() + DB_CALL_TIMEOUT_MS * INT64_C(1000);
    struct error err;
    int status;

    if (connection->prepared_count + first->count > DB_PREPARED_MAX)
        status = error_set(&err, ERR_INTERNAL, "too many statements for one connection");
    else
        status = send_all(connection, first, end, deadline, &err);
    for (struct transaction *each = first; each != end; each = next_of(each)) {
        each->status = -1;
        if (status < 0) {
            if (each->err)
                *each->err = err;
        } else if (receive_transaction(connection, each, is_last(each, end), deadline) < 0) {
            status = db_error_away(&err);
        } else {
            each->status = each->failed ? -1 : 0;
        }
    }
    if (status == 0 && !PQexitPipelineMode(connection->pg))
        first->status = db_error_away(first->err);
}

/* One that needs no statement prepared cannot be hurt by what fails in front of it. */
static bool may_join(const struct db_request *request, const struct db_connection *connection)
{
    const struct transaction *transaction = (const struct transaction *)request;

    for (size_t i = 0; i < transaction->count; i++)
        if (!is_prepared(connection, transaction->calls[i].statement))
            return false;
    return true;
}

/* Whether two look-ups begin alike: they see the same rows. */
static bool same_scope(const struct transaction *a, const struct transaction *b)
{
    const struct db_call *x = &a->calls[0];
    const struct db_call *y = &b->calls[0];

    if (x->statement != y->statement)
        return false;
    for (size_t i = 0; i < x->param_count; i++)
        if (x->params[i].size != y->params[i].size ||
            memcmp(x->params[i].data, y->params[i].data, x->params[i].size) != 0)
            return false;
    return true;
}

/* Joined look-ups of one scope, one after the other, are one transaction: a start, a scope and an
 * end for all of them. */
static void join_scopes(struct transaction *first)
{
    for (struct transaction *each = first; next_of(each); each = next_of(each))
        next_of(each)->first = same_scope(each, next_of(each)) ? 1 : 0;
}

/* Once more, alone: what another's failure aborted, or all that cannot go together. */
static void exchange_each(struct db_connection *connection, struct transaction *first,
                          bool only_aborted)
{
    for (struct transaction *each = first; each; each = next_of(each)) {
        if (only_aborted && !each->aborted)
            continue;
        db_results_clear(each->results, each->count);
        each->first = 0;
        each->failed = each->aborted = false;
        exchange(connection, each, next_of(each));
    }
}

/* The list as it was joined, unless the connection is another one since: then one by one. */
static void exchange_all(struct db_connection *connection, struct transaction *first)
{
    bool together = true;

    for (struct transaction *each = next_of(first); each; each = next_of(each))
        together = together && may_join(&each->request, connection);
    if (!together) {
        exchange_each(connection, first, false);
        return;
    }
    join_scopes(first);
    exchange(connection, first, NULL);
    exchange_each(connection, first, true);
}

static void fail_all(struct transaction *first)
{
    for (struct transaction *each = first; each; each = next_of(each)) {
        each->status = -1;
        each->settled = true; /* nothing was sent */
        if (each != first)
            (void)db_error_away(each->err);
    }
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

/* On a connection of the pool, by this thread or another one. */
static int run(struct db_pool *pool, struct transaction *transaction)
{
    struct db_connection *connection;

    if (db_pool_acquire(pool, &transaction->request, &connection, transaction->err) < 0) {
        fail_all(transaction);
    } else if (connection) {
        exchange_all(connection, transaction);
        db_pool_release(pool, &transaction->request, connection);
    } else {
        return transaction->status;
    }
    db_pool_tell(&transaction->request);
    return transaction->status;
}

int db_run(struct db_pool *pool, const struct db_scope *scope, enum db_commit commit,
           const struct db_call *calls, size_t count, PGresult **ret_results, struct error *err)
{
    struct db_claim *claim = scope && commit == DB_DURABLE ? scope->claim : NULL;
    struct db_param claim_params[DB_CLAIM_PARAMS];
    struct db_call all[ALL_CALLS_MAX];
    PGresult *results[ALL_CALLS_MAX] = {NULL};
    struct transaction transaction = {
        .request = {.tenant = scope ? &scope->tenant : NULL,
                    .may_join = commit == DB_LOOKUP ? may_join : NULL},
        .calls = all,
        .results = results,
        .err = err,
    };
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
    transaction.count = before + count;
    status = run(pool, &transaction);
    if (claim)
        status = db_claim_settle(claim, status, transaction.settled, results[1], err);
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
