#include "lib/db/connection.h"

#include "lib/base/util.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPTIONS_MAX = 1024 };

/* Ours behind the operator's own, which stand in the connection string: the later one counts. */
static int merge_options(const char *url, char options[static OPTIONS_MAX], struct error *err)
{
    char *message = NULL;
    PQconninfoOption *parsed = PQconninfoParse(url, &message);
    const char *own = "";
    int length;

    PQfreemem(message);
    if (!parsed)
        return error_set(err, ERR_INTERNAL, "the database's connection string is malformed");
    for (const PQconninfoOption *option = parsed; option->keyword; option++)
        if (strcmp(option->keyword, "options") == 0 && option->val)
            own = option->val;
    length =
        snprintf(options, OPTIONS_MAX,
                 "%s -c statement_timeout=%d -c idle_in_transaction_session_timeout=%d"
                 " -c client_min_messages=error -c plan_cache_mode=force_generic_plan -c jit=off"
                 " -c enable_bitmapscan=off -c synchronous_commit=on",
                 own, DB_STATEMENT_TIMEOUT_MS, DB_CALL_TIMEOUT_MS);
    PQconninfoFree(parsed);
    if (length >= OPTIONS_MAX)
        return error_set(err, ERR_INTERNAL, "the database's connection options are too long");
    return 0;
}

int db_connection_open(const char *url, const char *program, struct db_connection **ret_connection,
                       struct error *err)
{
    char options[OPTIONS_MAX];
    char timeout[16];
    const char *const names[] = {
        "dbname",          "options",          "fallback_application_name", "connect_timeout",
        "client_encoding", "tcp_user_timeout", "keepalives_idle",           NULL};
    const char *const values[] = {url, options, program, timeout, "UTF8", "10000", "30", NULL};
    struct db_connection *connection;

    if (merge_options(url, options, err) < 0)
        return -1;
    connection = calloc(1, sizeof(*connection));
    if (!connection)
        return error_set_errno(err, ENOMEM, "cannot connect to the database");
    (void)snprintf(timeout, sizeof(timeout), "%d", DB_CONNECT_TIMEOUT_S);
    /* Blocking on purpose: libpq goes on to the next host only in this mode. */
    connection->pg = PQconnectdbParams(names, values, 1);
    if (PQstatus(connection->pg) != CONNECTION_OK || PQsetnonblocking(connection->pg, 1) != 0) {
        char reason[ERROR_MESSAGE_MAX];

        db_message_line(PQerrorMessage(connection->pg), reason);
        db_connection_close(connection);
        return error_set(err, ERR_UNAVAILABLE, "%s", reason);
    }
    *ret_connection = connection;
    return 0;
}

void db_connection_close(struct db_connection *connection)
{
    if (!connection)
        return;
    PQfinish(connection->pg);
    free(connection);
}

bool db_connection_usable(const struct db_connection *connection)
{
    struct pollfd poller = {.fd = PQsocket(connection->pg), .events = POLLIN};

    /* Nothing is due on an idle connection: what can be read is its end. */
    return PQstatus(connection->pg) == CONNECTION_OK &&
           PQtransactionStatus(connection->pg) == PQTRANS_IDLE && poll(&poller, 1, 0) == 0;
}

static int wait_for(struct db_connection *connection, short events, int64_t deadline_usec,
                    struct error *err)
{
    struct pollfd poller = {.fd = PQsocket(connection->pg), .events = events};
    int ready;

    do {
        int left = deadline_left_ms(deadline_usec);

        if (left == 0)
            return error_set(err, ERR_UNAVAILABLE, "the database does not answer in time");
        ready = poll(&poller, 1, left);
    } while (ready == 0 || (ready < 0 && errno == EINTR));
    if (ready < 0)
        return error_set_errno(err, errno, "cannot wait for the database");
    if ((poller.revents & ~POLLOUT) && !PQconsumeInput(connection->pg))
        return db_error_away(err);
    return 0;
}

int db_connection_flush(struct db_connection *connection, int64_t deadline_usec, struct error *err)
{
    for (;;) {
        int left = PQflush(connection->pg);

        if (left < 0)
            return db_error_away(err);
        if (left == 0)
            return 0;
        if (wait_for(connection, POLLIN | POLLOUT, deadline_usec, err) < 0)
            return -1;
    }
}

int db_connection_result(struct db_connection *connection, int64_t deadline_usec,
                         PGresult **ret_result, struct error *err)
{
    while (PQisBusy(connection->pg)) {
        int left = PQflush(connection->pg);

        if (left < 0)
            return db_error_away(err);
        if (wait_for(connection, (short)(left ? POLLIN | POLLOUT : POLLIN), deadline_usec, err) < 0)
            return -1;
    }
    *ret_result = PQgetResult(connection->pg);
    return 0;
}

/* Takes in the results that remain, so that the connection is ready for the next query. */
static int drain(struct db_connection *connection, int64_t deadline_usec, struct error *err)
{
    for (;;) {
        PGresult *result = NULL;

        if (db_connection_result(connection, deadline_usec, &result, err) < 0)
            return -1;
        if (!result)
            return 0;
        PQclear(result);
    }
}

int db_connection_query(struct db_connection *connection, const char *sql, int64_t deadline_usec,
                        PGresult **ret_result, struct error *err)
{
    _cleanup_pg_result_ PGresult *last = NULL;

    if (!PQsendQuery(connection->pg, sql) ||
        db_connection_flush(connection, deadline_usec, err) < 0)
        return db_error_away(err);
    for (;;) {
        PGresult *result = NULL;

        if (db_connection_result(connection, deadline_usec, &result, err) < 0)
            return -1;
        if (!result)
            break;
        PQclear(last);
        last = result;
        switch (PQresultStatus(result)) {
        case PGRES_COPY_IN:
            *ret_result = TAKE_PTR(last);
            return 0;
        case PGRES_COMMAND_OK:
        case PGRES_TUPLES_OK:
        case PGRES_EMPTY_QUERY:
            break;
        default:
            (void)db_error_from_result(result, err);
            (void)drain(connection, deadline_usec, NULL);
            return -1;
        }
    }
    *ret_result = TAKE_PTR(last);
    return 0;
}

int db_error_away(struct error *err)
{
    return error_set(err, ERR_UNAVAILABLE, "the database is away");
}

void db_message_line(const char *message, char text[static ERROR_MESSAGE_MAX])
{
    size_t used;

    (void)snprintf(text, ERROR_MESSAGE_MAX, "%s", message);
    for (char *c = text; *c != '\0'; c++)
        if (*c == '\n' || *c == '\t')
            *c = ' ';
    used = strlen(text);
    while (used > 0 && text[used - 1] == ' ')
        text[--used] = '\0';
}

/* SQLSTATEs by prefix, the first that matches; PostgreSQL's documentation, appendix A. */
static const struct {
    const char *prefix;
    enum error_code code;
    const char *text; /* NULL: PostgreSQL's primary message */
} sqlstates[] = {
    {"08", ERR_UNAVAILABLE, "the database is away"},  /* connection exceptions */
    {"57P", ERR_UNAVAILABLE, "the database is away"}, /* shutting down, starting up */
    {"53", ERR_UNAVAILABLE, "the database is out of resources"},
    {"57014", ERR_UNAVAILABLE, "the database took too long"},
    {"55P03", ERR_UNAVAILABLE, "the database took too long"},  /* lock_timeout */
    {"40", ERR_UNAVAILABLE, "the database asks to try again"}, /* deadlock, serialization */
    {"25006", ERR_UNAVAILABLE, "the database is read-only"},   /* a standby */
    {"21000", ERR_CONFLICT, "the same row is named twice"},    /* ON CONFLICT DO UPDATE */
    {"23", ERR_CONFLICT, NULL},                                /* constraints, our triggers */
    {"22", ERR_INTERNAL, "the database refused a value"},      /* its message quotes the value */
    {"", ERR_INTERNAL, NULL},
};

/* Admission's refusal; its detail is "limit used seconds" (migrations/0002_tenancy.sql). */
#define SQLSTATE_QUOTA "AT001"

static int quota_error(const PGresult *result, const char *message, struct error *err)
{
    const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
    char *rest = NULL;
    int64_t numbers[3] = {0};

    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        const char *start = i == 0 ? detail : rest;

        if (start)
            numbers[i] = strtoll(start, &rest, 10);
        if (!start || rest == start)
            return error_set(err, ERR_INTERNAL, "the database's refusal has no limit");
    }
    return error_set_limit(err, ERR_QUOTA, numbers[0], numbers[1], (unsigned)numbers[2], "%s",
                           message);
}

int db_error_from_result(const PGresult *result, struct error *err)
{
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *constraint = PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME);
    size_t i = 0;

    /* libpq's own errors have no SQLSTATE: the connection is gone. */
    if (!sqlstate)
        return db_error_away(err);
    if (constraint && strcmp(constraint, "sandbox_files_limit") == 0)
        return error_set_field(err, ERR_TOO_LARGE, "files",
                               "the sandbox's files are over their limit");
    if (message && strcmp(sqlstate, SQLSTATE_QUOTA) == 0)
        return quota_error(result, message, err);
    while (strncmp(sqlstate, sqlstates[i].prefix, strlen(sqlstates[i].prefix)) != 0)
        i++;
    if (sqlstates[i].text)
        message = sqlstates[i].text;
    return error_set(err, sqlstates[i].code, "%s (SQLSTATE %s)",
                     message ? message : "the database failed", sqlstate);
}
