#include "lib/db/store_audit.h"

#include "lib/base/util.h"
#include "lib/db/transaction.h"

#include <string.h>

static const struct db_statement append_statement = {
    "audit_append",
    "INSERT INTO events (tenant_id, kind, actor, request_id, detail)"
    " SELECT r.tenant, r.kind, nullif(r.actor, ''), nullif(r.request, ''),"
    " jsonb_strip_nulls(jsonb_build_object('reason', nullif(r.reason, ''),"
    " 'client', nullif(r.client, ''), 'about', nullif(r.about, ''), 'count', r.count))"
    " FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],"
    " $7::text[], $8::bigint[]) r (tenant, kind, actor, request, reason, client, about, count)"};

enum { TEXT_COLUMNS = 6, COLUMNS = TEXT_COLUMNS + 2 };

struct columns {
    struct db_array of[COLUMNS];
};

static void columns_done(struct columns *columns)
{
    for (size_t i = 0; i < COLUMNS; i++)
        db_array_done(&columns->of[i]);
}

static void columns_begin(struct columns *columns)
{
    db_array_begin(&columns->of[0], DB_UUID);
    for (size_t i = 0; i < TEXT_COLUMNS; i++)
        db_array_begin(&columns->of[1 + i], DB_TEXT);
    db_array_begin(&columns->of[COLUMNS - 1], DB_INT8);
}

static void columns_add(struct columns *columns, const struct store_audit *row)
{
    const char *const texts[TEXT_COLUMNS] = {row->kind,   row->actor,  row->request_id,
                                             row->reason, row->client, row->about};

    db_array_add(&columns->of[0], row->tenant.bytes, ID_BYTES);
    for (size_t i = 0; i < TEXT_COLUMNS; i++)
        db_array_add(&columns->of[1 + i], texts[i], strlen(texts[i]));
    db_array_add_int8(&columns->of[COLUMNS - 1], row->count);
}

/* Rows of several tenants at once, so with an operator's scope: the policy checks the tenant. */
int store_audit_append(struct db_pool *pool, const struct store_audit *rows, size_t count,
                       struct error *err)
{
    const struct db_scope scope = {.is_operator = true};
    _cleanup_(columns_done) struct columns columns;
    struct db_param params[COLUMNS];
    const struct db_call call = DB_CALL(append_statement, params);
    _cleanup_pg_result_ PGresult *result = NULL;

    columns_begin(&columns);
    for (size_t i = 0; i < count; i++)
        columns_add(&columns, &rows[i]);
    for (size_t i = 0; i < COLUMNS; i++)
        if (db_array_param(&columns.of[i], &params[i], err) < 0)
            return -1;
    return db_run(pool, &scope, DB_RELAXED, &call, 1, &result, err);
}
