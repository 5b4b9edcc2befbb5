#include "lib/db/store_sample.h"

#include "lib/base/util.h"
#include "lib/db/pool.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* COPY does not go into a table with row-level security (copy.c: "COPY FROM not supported with
 * row-level security"): the batch goes through a temporary table, where it also finds its tenants.
 */
static const char begin_sql[] =
    "BEGIN; SET LOCAL synchronous_commit = off; SELECT samples_make_partitions(1);"
    "CREATE TEMPORARY TABLE IF NOT EXISTS sample_batch (sandbox_id uuid, generation integer,"
    " cpu_usec bigint, memory_bytes bigint, pids bigint) ON COMMIT DELETE ROWS;"
    "COPY pg_temp.sample_batch FROM STDIN";

static const char insert_sql[] =
    "INSERT INTO samples (at, sandbox_id, generation, tenant_id, cpu_usec, memory_bytes, pids)"
    " SELECT now(), b.sandbox_id, b.generation, coalesce(s.tenant_id, p.tenant_id), b.cpu_usec,"
    " b.memory_bytes, b.pids FROM pg_temp.sample_batch b"
    " LEFT JOIN sandboxes s ON s.id = b.sandbox_id"
    " LEFT JOIN processes p ON p.id = b.sandbox_id" /* a run is a sandbox of its own */
    " WHERE coalesce(s.tenant_id, p.tenant_id) IS NOT NULL";

/* A line of COPY's text format: at most an id, five numbers, their tabs and a newline. */
enum { LINE_SIZE = ID_TEXT_SIZE + 5 * 21 + 2 };

static void format_counter(uint64_t value, char text[static 22])
{
    if (value > INT64_MAX)
        (void)snprintf(text, 22, "\\N");
    else
        (void)snprintf(text, 22, "%" PRIu64, value);
}

static size_t format_line(const struct store_sample *sample, char line[static LINE_SIZE])
{
    char id[ID_TEXT_SIZE];
    char cpu[22], memory[22], pids[22];

    id_format(&sample->id, id);
    format_counter(sample->cpu_usec, cpu);
    format_counter(sample->memory_bytes, memory);
    format_counter(sample->pids, pids);
    return (size_t)snprintf(line, LINE_SIZE, "%s\t%" PRIu32 "\t%s\t%s\t%s\n", id,
                            sample->generation, cpu, memory, pids);
}

static int put_copy(struct db_connection *connection, const char *data, size_t size,
                    int64_t deadline_usec, struct error *err)
{
    int put;

    /* 0: libpq's buffer is full and the socket too. */
    while ((put = PQputCopyData(connection->pg, data, (int)size)) == 0)
        if (db_connection_flush(connection, deadline_usec, err) < 0)
            return -1;
    return put < 0 ? db_error_away(err) : 0;
}

static int end_copy(struct db_connection *connection, int64_t deadline_usec, struct error *err)
{
    bool failed = false;
    int put;

    while ((put = PQputCopyEnd(connection->pg, NULL)) == 0)
        if (db_connection_flush(connection, deadline_usec, err) < 0)
            return -1;
    if (put < 0 || db_connection_flush(connection, deadline_usec, err) < 0)
        return db_error_away(err);
    for (;;) {
        _cleanup_pg_result_ PGresult *result = NULL;

        if (db_connection_result(connection, deadline_usec, &result, err) < 0)
            return -1;
        if (!result)
            return failed ? -1 : 0;
        if (PQresultStatus(result) != PGRES_COMMAND_OK && !failed) {
            (void)db_error_from_result(result, err);
            failed = true;
        }
    }
}

static int query(struct db_connection *connection, const char *sql, int64_t deadline_usec,
                 uint64_t *ret_rows, struct error *err)
{
    _cleanup_pg_result_ PGresult *result = NULL;

    if (db_connection_query(connection, sql, deadline_usec, &result, err) < 0)
        return -1;
    if (ret_rows && !parse_u64(PQcmdTuples(result), UINT64_MAX, ret_rows))
        return error_set(err, ERR_INTERNAL, "the database does not say how many rows it wrote");
    return 0;
}

static int write_batch(struct db_connection *connection, const struct store_sample *samples,
                       size_t count, uint64_t *ret_written, struct error *err)
{
    int64_t deadline = monotonic_usec() + DB_CALL_TIMEOUT_MS * INT64_C(1000);

    if (query(connection, begin_sql, deadline, NULL, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        char line[LINE_SIZE];

        if (put_copy(connection, line, format_line(&samples[i], line), deadline, err) < 0)
            return -1;
    }
    if (end_copy(connection, deadline, err) < 0 ||
        query(connection, insert_sql, deadline, ret_written, err) < 0)
        return -1;
    return query(connection, "COMMIT", deadline, NULL, err);
}

int store_samples_write(struct db_pool *pool, const struct store_sample *samples, size_t count,
                        uint64_t *ret_written, struct error *err)
{
    struct db_connection *connection;
    uint64_t written;
    int status;

    if (db_pool_acquire(pool, NULL, &connection, err) < 0)
        return -1;
    status = write_batch(connection, samples, count, &written, err);
    /* After a failure it is in the middle of a transaction: the pool closes it. */
    db_pool_release(pool, NULL, connection);
    if (status == 0)
        *ret_written = written;
    return status;
}
