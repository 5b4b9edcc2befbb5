#include "lib/db/store_usage.h"

#include "lib/db/transaction.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIME_OF(parameter)                                                                         \
    "('epoch'::timestamptz + " parameter "::bigint * interval '1 microsecond')"

static const struct db_statement list_statement = {
    "usage_list", "SELECT project_id, to_char(day, 'YYYY-MM-DD'),"
                  " round(sum(seconds) * 1000)::bigint, round(sum(cpu_seconds) * 1000)::bigint,"
                  " round(sum(memory_mb_seconds) * 1000)::bigint, sum(runs)::bigint"
                  " FROM usage_by_day($1::uuid, $2::uuid, " TIME_OF("$3") ", " TIME_OF(
                      "$4") ")"
                            " GROUP BY day, project_id ORDER BY day, project_id LIMIT $5::bigint"};

enum usage_column {
    USAGE_PROJECT,
    USAGE_DAY,
    USAGE_MILLISECONDS,
    USAGE_CPU_MILLISECONDS,
    USAGE_MEMORY_MILLISECONDS,
    USAGE_RUNS,
};

static const struct db_statement note_statement = {
    "usage_note",
    "INSERT INTO events (tenant_id, project_id, sandbox_id, kind, actor, request_id, detail)"
    " SELECT tenant_id, project_id, id, 'sandbox.ended', $6::text, $7::text,"
    " jsonb_strip_nulls(jsonb_build_object('generation', CASE $3::bigint WHEN 0 THEN generation"
    " ELSE $3::bigint END, 'cpu_usec', $4::bigint, 'memory_peak_bytes', $5::bigint))"
    " FROM sandboxes WHERE ($1::uuid IS NULL OR tenant_id = $1::uuid) AND id = $2::uuid"};

static double get_thousandths(const PGresult *result, int row, int column)
{
    return (double)db_get_int(result, row, column) / 1000;
}

static void read_usage(const PGresult *result, int row, struct store_usage *usage)
{
    *usage = (struct store_usage){
        .project = db_get_uuid(result, row, USAGE_PROJECT),
        .sandbox_seconds = get_thousandths(result, row, USAGE_MILLISECONDS),
        .cpu_seconds = get_thousandths(result, row, USAGE_CPU_MILLISECONDS),
        .memory_mb_seconds = get_thousandths(result, row, USAGE_MEMORY_MILLISECONDS),
        .runs = db_get_int(result, row, USAGE_RUNS),
    };
    (void)snprintf(usage->day, sizeof(usage->day), "%s", db_get_text(result, row, USAGE_DAY));
}

int store_usage_list(struct db_pool *pool, const struct db_scope *scope,
                     const struct store_usage_range *range, uint32_t limit,
                     struct store_usage **ret_items, size_t *ret_count, struct error *err)
{
    const struct db_param params[] = {db_uuid(&scope->tenant), db_uuid(range->project),
                                      db_int8(range->from_usec), db_int8(range->until_usec),
                                      db_int8(limit)};
    const struct db_call call = DB_CALL(list_statement, params);
    _cleanup_pg_result_ PGresult *result = NULL;
    struct store_usage *items = NULL;
    size_t count;

    if (db_run(pool, scope, DB_RELAXED, &call, 1, &result, err) < 0)
        return -1;
    count = (size_t)PQntuples(result);
    if (count > 0) {
        items = calloc(count, sizeof(*items));
        if (!items)
            return error_set_errno(err, ENOMEM, "cannot list usage");
    }
    for (size_t i = 0; i < count; i++)
        read_usage(result, (int)i, &items[i]);
    *ret_items = items;
    *ret_count = count;
    return 0;
}

int store_usage_note(struct db_pool *pool, const struct db_scope *scope,
                     const struct store_usage_end *end, const struct store_origin *origin,
                     struct error *err)
{
    const struct db_param params[] = {db_uuid(scope ? &scope->tenant : NULL),
                                      db_uuid(&end->id),
                                      db_int8(end->generation),
                                      db_known((int64_t)end->cpu_usec),
                                      db_known((int64_t)end->memory_peak_bytes),
                                      db_text(origin->actor),
                                      db_text(origin->request_id)};
    const struct db_call call = DB_CALL(note_statement, params);
    _cleanup_pg_result_ PGresult *result = NULL;

    return db_run(pool, scope, DB_RELAXED, &call, 1, &result, err);
}
