#include "lib/db/migrate.h"

#include "lib/db/transaction.h"

#include <stdlib.h>
#include <string.h>

/* Any number; the same in every version of the programs. "AT" and "migrate" on a keypad. */
#define MIGRATION_LOCK "28647283"

/* Migrations may take long; only the wait for somebody else's is bounded. */
static const char prepare_sql[] =
    "SET client_min_messages = error; SET lock_timeout = '60s';"
    "SELECT pg_advisory_lock(" MIGRATION_LOCK ");"
    "CREATE TABLE IF NOT EXISTS schema_migrations ("
    " version integer PRIMARY KEY, name text NOT NULL, sha256 text NOT NULL,"
    " applied_at timestamptz NOT NULL DEFAULT now())";

static const char find_sql[] =
    "SELECT sha256 = encode(sha256($2::bytea), 'hex') FROM schema_migrations"
    " WHERE version = $1::int";

static const char record_sql[] = "INSERT INTO schema_migrations (version, name, sha256)"
                                 " VALUES ($1::int, $2::text, encode(sha256($3::bytea), 'hex'))";

/* Lists of tests may end before it. */
static const char settle_sql[] =
    "DO $$ BEGIN IF to_regprocedure('public.atoll_events_settle()') IS NOT NULL THEN"
    " PERFORM public.atoll_events_settle(); END IF; END $$";

static void close_connection(PGconn *pg)
{
    PQfinish(pg);
}

DEFINE_CLEANUP(PGconn *, pg_connection, close_connection)
#define _cleanup_pg_connection_ _cleanup_(cleanup_pg_connection)

static int owner_error(PGconn *pg, const char *what, struct error *err)
{
    char reason[ERROR_MESSAGE_MAX];

    db_message_line(PQerrorMessage(pg), reason);
    return error_set(err, PQstatus(pg) == CONNECTION_OK ? ERR_INTERNAL : ERR_UNAVAILABLE, "%s: %s",
                     what, reason);
}

static int run_sql(PGconn *pg, const char *what, const char *sql, struct error *err)
{
    _cleanup_pg_result_ PGresult *result = PQexec(pg, sql);
    ExecStatusType status = PQresultStatus(result);

    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        return owner_error(pg, what, err);
    return 0;
}

static int migration_error(PGconn *pg, const struct db_migration *migration, struct error *err)
{
    char what[128];

    (void)snprintf(what, sizeof(what), "migration %04d_%s", migration->version, migration->name);
    return owner_error(pg, what, err);
}

/* Whether a migration is applied, and then that it is this one. */
static int find_applied(PGconn *pg, const struct db_migration *migration, bool *ret_applied,
                        struct error *err)
{
    char version[16];
    const char *values[] = {version, migration->sql};
    const int sizes[] = {0, (int)strlen(migration->sql)};
    const int formats[] = {0, 1};
    _cleanup_pg_result_ PGresult *result = NULL;

    (void)snprintf(version, sizeof(version), "%d", migration->version);
    result = PQexecParams(pg, find_sql, 2, NULL, values, sizes, formats, 0);
    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        return migration_error(pg, migration, err);
    *ret_applied = PQntuples(result) == 1;
    if (*ret_applied && strcmp(PQgetvalue(result, 0, 0), "t") != 0)
        return error_set(
            err, ERR_CONFLICT,
            "migration %04d_%s was applied with another content (its SHA-256 differs): "
            "migrations are never changed, only added",
            migration->version, migration->name);
    return 0;
}

/* The newest applied version, 0 when there is none. */
static int find_newest(PGconn *pg, int *ret_version, struct error *err)
{
    _cleanup_pg_result_ PGresult *result =
        PQexec(pg, "SELECT coalesce(max(version), 0) FROM schema_migrations");

    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        return owner_error(pg, "cannot read schema_migrations", err);
    *ret_version = (int)strtol(PQgetvalue(result, 0, 0), NULL, 10);
    return 0;
}

static int check_applied(PGconn *pg, const struct db_migration *list, size_t count,
                         struct error *err)
{
    int newest = 0;

    if (find_newest(pg, &newest, err) < 0)
        return -1;
    if (count == 0 || newest > list[count - 1].version)
        return error_set(err, ERR_CONFLICT,
                         "the database's schema has version %d, newer than this program, which "
                         "ends at %d: use the newer program",
                         newest, count == 0 ? 0 : list[count - 1].version);
    for (size_t i = 0; i < count; i++) {
        bool applied = false;

        if (find_applied(pg, &list[i], &applied, err) < 0)
            return -1;
        if (!applied && list[i].version <= newest)
            return error_set(err, ERR_CONFLICT,
                             "migration %04d_%s is not applied, but a later one is",
                             list[i].version, list[i].name);
    }
    return 0;
}

static int record(PGconn *pg, const struct db_migration *migration, struct error *err)
{
    char version[16];
    const char *values[] = {version, migration->name, migration->sql};
    const int sizes[] = {0, 0, (int)strlen(migration->sql)};
    const int formats[] = {0, 0, 1};
    _cleanup_pg_result_ PGresult *result = NULL;

    (void)snprintf(version, sizeof(version), "%d", migration->version);
    result = PQexecParams(pg, record_sql, 3, NULL, values, sizes, formats, 0);
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        return migration_error(pg, migration, err);
    return 0;
}

static int apply(PGconn *pg, const struct db_migration *migration, struct error *err)
{
    char what[128];

    (void)snprintf(what, sizeof(what), "migration %04d_%s", migration->version, migration->name);
    if (run_sql(pg, what, "BEGIN", err) < 0 || run_sql(pg, what, migration->sql, err) < 0)
        return -1;
    if (PQtransactionStatus(pg) != PQTRANS_INTRANS)
        return error_set(err, ERR_INTERNAL, "%s ends its transaction itself", what);
    if (record(pg, migration, err) < 0)
        return -1;
    return run_sql(pg, what, "COMMIT", err);
}

int db_migrate(const char *owner_url, const struct db_migration *list, size_t count,
               db_migrate_progress progress, void *context, struct error *err)
{
    const char *const names[] = {"dbname", "fallback_application_name", "connect_timeout",
                                 "client_encoding", NULL};
    const char *const values[] = {owner_url, "atoll-migrate", "10", "UTF8", NULL};
    _cleanup_pg_connection_ PGconn *pg = PQconnectdbParams(names, values, 1);

    if (PQstatus(pg) != CONNECTION_OK)
        return owner_error(pg, "cannot connect to the database as the schema's owner", err);
    if (run_sql(pg, "cannot prepare the migration", prepare_sql, err) < 0 ||
        check_applied(pg, list, count, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        bool applied = false;

        if (find_applied(pg, &list[i], &applied, err) < 0)
            return -1;
        if (!applied && apply(pg, &list[i], err) < 0)
            return -1;
        if (progress)
            progress(&list[i], !applied, context);
    }
    return run_sql(pg, "cannot let the order of events go on", settle_sql, err);
}

static const struct db_statement check_role_statement = {
    "check_role", "SELECT rolsuper OR rolbypassrls OR pg_has_role(t.tableowner, 'USAGE'),"
                  " rolname::text FROM pg_roles LEFT JOIN pg_tables t"
                  " ON t.schemaname = 'public' AND t.tablename = 'schema_migrations'"
                  " WHERE rolname = current_user"};

static const struct db_statement check_table_statement = {
    "check_table", "SELECT to_regclass('public.schema_migrations') IS NOT NULL"};

static const struct db_statement check_version_statement = {
    "check_version", "SELECT version,"
                     " coalesce(sha256 = encode(sha256($2::bytea), 'hex'), false),"
                     " (SELECT max(version) FROM schema_migrations)"
                     " FROM schema_migrations WHERE version = $1::bigint"};

/* The role is bound by row-level security, and there is a schema at all. */
static int check_role(struct db_pool *pool, struct error *err)
{
    const struct db_call calls[] = {{&check_role_statement, NULL, 0},
                                    {&check_table_statement, NULL, 0}};
    PGresult *results[2];
    int status = 0;

    if (db_run(pool, NULL, DB_DURABLE, calls, 2, results, err) < 0)
        return -1;
    if (db_get_bool(results[0], 0, 0))
        status = error_set(err, ERR_CONFLICT,
                           "the database role %s is not bound by row-level security (it is a "
                           "superuser, has BYPASSRLS or owns the schema): use atoll_app or "
                           "atoll_system",
                           db_get_text(results[0], 0, 1));
    else if (!db_get_bool(results[1], 0, 0))
        status = error_set(err, ERR_CONFLICT, "the database has no schema: run `atoll migrate`");
    db_results_clear(results, 2);
    return status;
}

int db_check_schema(struct db_pool *pool, const struct db_migration *list, size_t count,
                    struct error *err)
{
    const struct db_migration *last = &list[count - 1];
    const struct db_param params[] = {db_int8(last->version),
                                      db_bytes(last->sql, strlen(last->sql))};
    const struct db_call call = DB_CALL(check_version_statement, params);
    _cleanup_pg_result_ PGresult *result = NULL;

    if (check_role(pool, err) < 0 || db_run(pool, NULL, DB_DURABLE, &call, 1, &result, err) < 0)
        return -1;
    if (PQntuples(result) == 0)
        return error_set(err, ERR_CONFLICT,
                         "the database's schema is older than version %d, which this program "
                         "needs: run `atoll migrate`",
                         last->version);
    if (db_get_int(result, 0, 2) > last->version)
        return error_set(err, ERR_CONFLICT,
                         "the database's schema has version %d, newer than this program, which "
                         "needs %d: use the newer program",
                         (int)db_get_int(result, 0, 2), last->version);
    if (!db_get_bool(result, 0, 1))
        return error_set(err, ERR_CONFLICT,
                         "the database's schema version %d is not the one of this program (its "
                         "SHA-256 differs)",
                         last->version);
    return 0;
}

static const struct db_statement check_cluster_statement = {
    "check_cluster",
    "SELECT c.cluster = p.system_identifier FROM events_clock c, pg_control_system() p"};

int db_check_cluster(struct db_pool *pool, struct error *err)
{
    const struct db_call call = {&check_cluster_statement, NULL, 0};
    _cleanup_pg_result_ PGresult *result = NULL;

    if (db_run(pool, NULL, DB_READ, &call, 1, &result, err) < 0)
        return -1;
    if (!db_get_bool(result, 0, 0))
        return error_set(err, ERR_CONFLICT,
                         "the database came here from another PostgreSQL: run `atoll migrate`");
    return 0;
}
