#include "lib/db/store_node.h"

#include "lib/db/refusal.h"
#include "lib/db/transaction.h"

#include <errno.h>

#define NODE_COLUMNS                                                                               \
    "id, version, seen_at > now() - $1::bigint * interval '1 second', cpu_milli, memory_mb,"       \
    " sandboxes, started_at, seen_at"

enum node_column {
    COLUMN_ID,
    COLUMN_VERSION,
    COLUMN_READY,
    COLUMN_CPU_MILLI,
    COLUMN_MEMORY_MB,
    COLUMN_SANDBOXES,
    COLUMN_STARTED_AT,
    COLUMN_SEEN_AT,
};

static const struct db_statement report_statement = {
    "node_report", "UPDATE nodes SET seen_at = now(), version = $3::text, cpu_milli = $4::bigint,"
                   " memory_mb = $5::bigint, sandboxes = coalesce($6::bigint, sandboxes)"
                   " WHERE id = $1::text AND boot_id = $2::uuid"};

static const struct db_statement get_statement = {"node_get", "SELECT " NODE_COLUMNS " FROM nodes"
                                                              " WHERE id = $2::text"};

static const struct db_statement list_statement = {
    "node_list", "SELECT " NODE_COLUMNS " FROM nodes WHERE id > coalesce($2::text, '')"
                 " ORDER BY id LIMIT $3::bigint"};

static int read_node(const PGresult *result, int row, struct node_record *ret_record,
                     struct error *err)
{
    struct node_record record = {
        .ready = db_get_bool(result, row, COLUMN_READY),
        .cpu_milli = db_get_int(result, row, COLUMN_CPU_MILLI),
        .memory_mb = db_get_int(result, row, COLUMN_MEMORY_MB),
        .sandboxes = db_get_int(result, row, COLUMN_SANDBOXES),
        .started_usec = db_get_time(result, row, COLUMN_STARTED_AT),
        .seen_usec = db_get_time(result, row, COLUMN_SEEN_AT),
    };

    if (db_copy(result, row, COLUMN_ID, &record.id, NULL, err) < 0 ||
        db_copy(result, row, COLUMN_VERSION, &record.version, NULL, err) < 0) {
        node_record_free(&record);
        return -1;
    }
    *ret_record = record;
    return 0;
}

int store_node_report(struct db_pool *pool, const struct store_node_report *report,
                      struct error *err)
{
    const struct db_param params[] = {
        db_text(report->id),        db_uuid(&report->boot_id),  db_text(report->version),
        db_int8(report->cpu_milli), db_int8(report->memory_mb), db_known(report->sandboxes),
    };
    const struct db_call call = DB_CALL(report_statement, params);
    _cleanup_pg_result_ PGresult *result = NULL;

    return db_run(pool, NULL, DB_RELAXED, &call, 1, &result, err);
}

int store_node_get(struct db_pool *pool, const char *id, struct node_record *ret_record,
                   struct error *err)
{
    const struct db_param params[] = {db_int8(STORE_NODE_SILENT_S), db_text(id)};
    const struct db_call call = DB_CALL(get_statement, params);
    _cleanup_pg_result_ PGresult *result = NULL;

    if (db_run(pool, NULL, DB_RELAXED, &call, 1, &result, err) < 0)
        return -1;
    if (PQntuples(result) == 0)
        return refuse_missing("node", err);
    return read_node(result, 0, ret_record, err);
}

static int read_nodes(const PGresult *result, struct node_record **ret_records, size_t *ret_count,
                      struct error *err)
{
    size_t count = (size_t)PQntuples(result);
    struct node_record *records = count > 0 ? calloc(count, sizeof(*records)) : NULL;

    if (count > 0 && !records)
        return error_set_errno(err, ENOMEM, "cannot list nodes");
    for (size_t i = 0; i < count; i++) {
        if (read_node(result, (int)i, &records[i], err) < 0) {
            while (i > 0)
                node_record_free(&records[--i]);
            free(records);
            return -1;
        }
    }
    *ret_records = records;
    *ret_count = count;
    return 0;
}

int store_node_list(struct db_pool *pool, uint32_t limit, const char *after,
                    struct node_record **ret_records, size_t *ret_count, struct error *err)
{
    const struct db_param params[] = {db_int8(STORE_NODE_SILENT_S), db_text(after), db_int8(limit)};
    const struct db_call call = DB_CALL(list_statement, params);
    _cleanup_pg_result_ PGresult *result = NULL;

    if (db_run(pool, NULL, DB_RELAXED, &call, 1, &result, err) < 0)
        return -1;
    return read_nodes(result, ret_records, ret_count, err);
}
