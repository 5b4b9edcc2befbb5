#include "lib/db/store_event.h"

#include "lib/db/transaction.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* An xid8 has no binary cast to bigint, but 63 bits are enough: a thousand transactions a second
 * reach them in 292 million years. */
#define EVENT_COLUMNS                                                                              \
    "tx::text::bigint, id, at, project_id, sandbox_id, kind, from_state, to_state, actor,"         \
    " request_id, detail::text"

enum event_column {
    EVENT_TX,
    EVENT_ID,
    EVENT_AT,
    EVENT_PROJECT,
    EVENT_SANDBOX,
    EVENT_KIND,
    EVENT_FROM_STATE,
    EVENT_TO_STATE,
    EVENT_ACTOR,
    EVENT_REQUEST_ID,
    EVENT_DETAIL,
};

#define TIME_OF(parameter) "'epoch'::timestamptz + " parameter "::bigint * interval '1 microsecond'"

/* $1 the tenant, $2 transaction and $3 id of the place, $4 limit, $5 kind, $6 since, $7 until. */
#define LIST_STATEMENT(whose)                                                                      \
    "SELECT " EVENT_COLUMNS " FROM events WHERE tenant_id = $1::uuid" whose                        \
    " AND (tx, id) < ($2::bigint::text::xid8, $3::bigint)"                                         \
    " AND ($5::text IS NULL OR starts_with(kind, $5::text))"                                       \
    " AND ($6::bigint = 0 OR at >= " TIME_OF(                                                      \
        "$6") ")"                                                                                  \
              " AND ($7::bigint = 0 OR at < " TIME_OF(                                             \
                  "$7") ")"                                                                        \
                        " ORDER BY tx DESC, id DESC LIMIT $4::bigint"

/* Two statements, because each has an index of its own. */
static const struct db_statement list_statement = {"event_list", LIST_STATEMENT("")};
static const struct db_statement list_sandbox_statement = {
    "event_list_sandbox", LIST_STATEMENT(" AND sandbox_id = $8::uuid")};

static const struct db_statement now_statement = {
    "event_now", "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint"};

#define FOLLOW_STATEMENT(whose)                                                                    \
    "SELECT " EVENT_COLUMNS " FROM events WHERE tenant_id = $1::uuid" whose                        \
    " AND (tx, id) > ($2::bigint::text::xid8, $3::bigint)"                                         \
    " AND tx < pg_snapshot_xmin(pg_current_snapshot())"                                            \
    " AND ($5::text IS NULL OR starts_with(kind, $5::text))"                                       \
    " ORDER BY tx, id LIMIT $4::bigint"

static const struct db_statement follow_statement = {"event_follow", FOLLOW_STATEMENT("")};
static const struct db_statement follow_sandbox_statement = {
    "event_follow_sandbox", FOLLOW_STATEMENT(" AND sandbox_id = $6::uuid")};

void store_events_free(struct store_events *events)
{
    free(events->items);
    PQclear(events->owner);
    *events = (struct store_events){.owner = NULL};
}

static struct store_event read_event(const PGresult *result, int row)
{
    return (struct store_event){
        .place = {.tx = (uint64_t)db_get_int(result, row, EVENT_TX),
                  .id = db_get_int(result, row, EVENT_ID)},
        .at_usec = db_get_time(result, row, EVENT_AT),
        .project = db_get_uuid(result, row, EVENT_PROJECT),
        .sandbox = db_get_uuid(result, row, EVENT_SANDBOX),
        .kind = db_get_text(result, row, EVENT_KIND),
        .from_state = db_get_text(result, row, EVENT_FROM_STATE),
        .to_state = db_get_text(result, row, EVENT_TO_STATE),
        .actor = db_get_text(result, row, EVENT_ACTOR),
        .request_id = db_get_text(result, row, EVENT_REQUEST_ID),
        .detail_json = db_get_text(result, row, EVENT_DETAIL),
    };
}

/* Reads all rows of *result, which becomes the list's. */
static int take_events(PGresult **result, struct store_events *ret_events, struct error *err)
{
    size_t count = (size_t)PQntuples(*result);
    struct store_event *items = calloc(count + 1, sizeof(*items));

    if (!items)
        return error_set_errno(err, ENOMEM, "cannot read events");
    for (size_t i = 0; i < count; i++)
        items[i] = read_event(*result, (int)i);
    *ret_events = (struct store_events){TAKE_PTR(*result), items, count};
    return 0;
}

int store_event_list(struct db_pool *pool, const struct db_scope *scope,
                     const struct store_event_filter *filter,
                     const struct store_event_place *before, uint32_t limit,
                     struct store_events *ret_events, struct error *err)
{
    const struct db_param params[] = {db_uuid(&scope->tenant),
                                      db_int8(before ? (int64_t)before->tx : INT64_MAX),
                                      db_int8(before ? before->id : INT64_MAX),
                                      db_int8(limit),
                                      db_text(filter->kind),
                                      db_int8(filter->since_usec),
                                      db_int8(filter->until_usec),
                                      db_uuid(filter->sandbox)};
    const struct db_call call = {filter->sandbox ? &list_sandbox_statement : &list_statement,
                                 params, filter->sandbox ? 8 : 7};
    _cleanup_pg_result_ PGresult *result = NULL;

    if (db_run(pool, scope, DB_RELAXED, &call, 1, &result, err) < 0)
        return -1;
    return take_events(&result, ret_events, err);
}

int store_event_now(struct db_pool *pool, struct store_event_place *ret_place, struct error *err)
{
    const struct db_call call = {&now_statement, NULL, 0};
    _cleanup_pg_result_ PGresult *result = NULL;

    if (db_run(pool, NULL, DB_RELAXED, &call, 1, &result, err) < 0)
        return -1;
    *ret_place = (struct store_event_place){.tx = (uint64_t)db_get_int(result, 0, 0)};
    return 0;
}

int store_event_follow(struct db_pool *pool, const struct db_scope *scope,
                       const struct store_event_filter *filter,
                       struct store_event_place *inout_place, uint32_t limit,
                       struct store_events *ret_events, struct error *err)
{
    const struct db_param params[] = {db_uuid(&scope->tenant),  db_int8((int64_t)inout_place->tx),
                                      db_int8(inout_place->id), db_int8(limit),
                                      db_text(filter->kind),    db_uuid(filter->sandbox)};
    /* The horizon first: what the second statement sees beyond it is seen again. */
    const struct db_call calls[] = {
        {&now_statement, NULL, 0},
        {filter->sandbox ? &follow_sandbox_statement : &follow_statement, params,
         filter->sandbox ? 6 : 5}};
    PGresult *results[2] = {NULL};
    uint64_t horizon;
    int status;

    if (db_run(pool, scope, DB_RELAXED, calls, 2, results, err) < 0)
        return -1;
    horizon = (uint64_t)db_get_int(results[0], 0, 0);
    status = take_events(&results[1], ret_events, err);
    db_results_clear(results, 2);
    if (status < 0)
        return -1;
    /* A page that is not full has seen all up to the horizon: what the filter leaves out need not
     * be looked at again. */
    if (ret_events->count > 0)
        *inout_place = ret_events->items[ret_events->count - 1].place;
    if (ret_events->count < limit && horizon > inout_place->tx)
        *inout_place = (struct store_event_place){.tx = horizon};
    return 0;
}
