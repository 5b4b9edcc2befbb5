#include "lib/db/store_why.h"

#include "lib/db/container_row.h"
#include "lib/db/refusal.h"
#include "lib/db/transaction.h"

/* Whether its idle time runs. */
#define IDLE_TIME_RUNS                                                                             \
    "(active_runs = 0 AND CASE kind WHEN 'container' THEN state = 'running'"                       \
    " ELSE state IN ('stopped', 'running') END)"

static const struct db_statement why_statement = {
    "why",
    "SELECT s.id, s.kind, s.state, CASE WHEN s.state = 'deleting' THEN NULL"
    " WHEN active_runs > 0 THEN 'run' WHEN " IDLE_TIME_RUNS " THEN 'use' ELSE 'lifetime' END,"
    " active_runs, e.at, e.from_state, e.to_state, e.reason, e.actor, e.request_id,"
    " CASE WHEN NOT " IDLE_TIME_RUNS " THEN NULL WHEN kind = 'container' THEN " CONTAINER_IDLE_ENDS
    " ELSE last_active_at + idle_timeout_s * interval '1 second' END,"
    " CASE WHEN s.state <> 'deleting' THEN expires_at END,"
    " CASE kind WHEN 'container' THEN 'stop' ELSE 'delete' END"
    " FROM sandboxes s LEFT JOIN LATERAL (SELECT at, from_state, to_state, actor, request_id,"
    " coalesce(detail->>'reason', detail->>'rule') AS reason FROM events"
    " WHERE tenant_id = $1::uuid AND sandbox_id = $2::uuid AND to_state IS NOT NULL"
    " AND kind LIKE 'sandbox.%' ORDER BY tx DESC, id DESC LIMIT 1) e ON true"
    " WHERE s.tenant_id = $1::uuid AND s.id = $2::uuid AND s.state <> 'deleted'"};

enum why_column {
    WHY_ID,
    WHY_KIND,
    WHY_STATE,
    WHY_KEPT_BY,
    WHY_ACTIVE_RUNS,
    WHY_CHANGE_AT,
    WHY_CHANGE_FROM,
    WHY_CHANGE_TO,
    WHY_CHANGE_REASON,
    WHY_CHANGE_ACTOR,
    WHY_CHANGE_REQUEST_ID,
    WHY_IDLE_AT,
    WHY_LIFETIME_AT,
    WHY_IDLE_ACTION,
};

void store_why_free(struct store_why *why)
{
    PQclear(why->owner);
    *why = (struct store_why){.owner = NULL};
}

int store_why_get(struct db_pool *pool, const struct db_scope *scope, const struct id *id,
                  struct store_why *ret_why, struct error *err)
{
    const struct db_param params[] = {db_uuid(&scope->tenant), db_uuid(id)};
    const struct db_call call = DB_CALL(why_statement, params);
    PGresult *row = NULL;

    if (db_run(pool, scope, DB_RELAXED, &call, 1, &row, err) < 0)
        return -1;
    if (PQntuples(row) == 0) {
        PQclear(row);
        return refuse_missing("sandbox", err);
    }
    *ret_why = (struct store_why){
        .owner = row,
        .id = db_get_uuid(row, 0, WHY_ID),
        .kind = db_get_text(row, 0, WHY_KIND),
        .state = db_get_text(row, 0, WHY_STATE),
        .kept_by = db_get_text(row, 0, WHY_KEPT_BY),
        .active_runs = db_get_int(row, 0, WHY_ACTIVE_RUNS),
        .change_usec = db_get_time(row, 0, WHY_CHANGE_AT),
        .change_from = db_get_text(row, 0, WHY_CHANGE_FROM),
        .change_to = db_get_text(row, 0, WHY_CHANGE_TO),
        .change_reason = db_get_text(row, 0, WHY_CHANGE_REASON),
        .change_actor = db_get_text(row, 0, WHY_CHANGE_ACTOR),
        .change_request_id = db_get_text(row, 0, WHY_CHANGE_REQUEST_ID),
        .idle_usec = db_get_time(row, 0, WHY_IDLE_AT),
        .lifetime_usec = db_get_time(row, 0, WHY_LIFETIME_AT),
        .idle_action = db_get_text(row, 0, WHY_IDLE_ACTION),
    };
    return 0;
}
