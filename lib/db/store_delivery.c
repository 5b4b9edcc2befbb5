#include "lib/db/store_delivery.h"

#include "lib/db/transaction.h"

#include <errno.h>
#include <stdlib.h>

/* One worker at a time; the statement behind it sees what the one before has done. The class is
 * that of samples_make_partitions. */
static const struct db_statement fan_out_lock_statement = {
    "delivery_fan_out_lock", "SELECT pg_advisory_xact_lock(4702103, 2)"};

/* What is sent: the event as GET /v1/events shows it, its tenant, and why. */
#define PAYLOAD                                                                                    \
    "jsonb_build_object('id', e.tx || '-' || e.id, 'at', to_char(e.at AT TIME ZONE 'UTC',"         \
    " 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), 'kind', e.kind, 'tenant_id',"                          \
    " replace(e.tenant_id::text, '-', ''), 'project_id', replace(e.project::text, '-', ''),"       \
    " 'sandbox_id', replace(e.sandbox_id::text, '-', ''), 'from_state', e.from_state,"             \
    " 'to_state', e.to_state, 'reason', coalesce(e.detail ->> 'reason', e.detail ->> 'rule',"      \
    " e.detail ->> 'why'), 'actor', e.actor, 'request_id', e.request_id, 'detail', e.detail)"

/*
 * Only tenants that have a webhook are looked at, each by its index, so that the others cost
 * nothing. An event of a sandbox that does not name the project is of the sandbox's. What finds as
 * many waiting for its webhook as may wait ($2) is dead from the start.
 */
static const struct db_statement fan_out_statement = {
    "delivery_fan_out",
    "WITH batch AS MATERIALIZED (SELECT e.*, coalesce(e.project_id,"
    " (SELECT s.project_id FROM sandboxes s WHERE s.id = e.sandbox_id)) AS project"
    " FROM webhook_cursor c"
    " CROSS JOIN (SELECT DISTINCT tenant_id FROM webhooks WHERE is_active) t"
    " CROSS JOIN LATERAL (SELECT * FROM events WHERE tenant_id = t.tenant_id"
    " AND (tx, id) > (c.tx, c.id) AND tx < atoll_events_horizon()"
    " ORDER BY tx, id LIMIT $1::bigint) e ORDER BY e.tx, e.id LIMIT $1::bigint),"
    " wanted AS MATERIALIZED (SELECT e.tx, e.id, e.tenant_id, w.id AS webhook, " PAYLOAD
    " AS payload, row_number() OVER (PARTITION BY w.id ORDER BY e.tx, e.id) AS place"
    " FROM batch e JOIN webhooks w ON w.tenant_id = e.tenant_id AND w.is_active"
    " AND e.at >= w.active_since AND (w.project_id IS NULL OR w.project_id = e.project)"
    " AND (cardinality(w.kinds) = 0 OR EXISTS (SELECT FROM unnest(w.kinds) k WHERE e.kind = k"
    " OR (right(k, 2) = '.*' AND starts_with(e.kind, left(k, -1)))))),"
    " waiting AS MATERIALIZED (SELECT w.webhook, (SELECT count(*) FROM (SELECT FROM"
    " webhook_deliveries d WHERE d.webhook_id = w.webhook AND d.state = 'pending'"
    " LIMIT $2::bigint) counted) AS count FROM (SELECT DISTINCT webhook FROM wanted) w),"
    " made AS (INSERT INTO webhook_deliveries (tenant_id, webhook_id, event_id, payload, state,"
    " ended_at, last_error) SELECT tenant_id, webhook, id, payload,"
    " CASE WHEN is_over THEN 'dead' ELSE 'pending' END, CASE WHEN is_over THEN now() END,"
    " CASE WHEN is_over THEN 'too many deliveries are waiting' END"
    " FROM (SELECT wanted.*, count + place > $2::bigint AS is_over FROM wanted"
    " JOIN waiting USING (webhook)) judged"
    " ORDER BY tx, id ON CONFLICT (webhook_id, event_id) DO NOTHING),"
    " moved AS (UPDATE webhook_cursor c SET tx = last.tx, id = last.id"
    " FROM (SELECT tx, id FROM batch ORDER BY tx DESC, id DESC LIMIT 1) last)"
    " SELECT count(*) FROM batch"};

/* What is due to a suspended tenant waits as it is, and is due at once when he is active again. */
static const struct db_statement claim_statement = {
    "delivery_claim",
    "WITH due AS MATERIALIZED (SELECT d.id, w.url, w.secret FROM webhooks w"
    " JOIN tenants t ON t.id = w.tenant_id AND t.state = 'active'"
    " LEFT JOIN unnest($3::uuid[], $4::bigint[]) busy (webhook_id, count) ON busy.webhook_id = w.id"
    " CROSS JOIN LATERAL (SELECT id, next_attempt_at FROM webhook_deliveries"
    " WHERE webhook_id = w.id AND state = 'pending' AND next_attempt_at <= now()"
    " ORDER BY next_attempt_at LIMIT greatest($2::bigint - coalesce(busy.count, 0), 0)"
    " FOR UPDATE SKIP LOCKED) d"
    " WHERE w.is_active ORDER BY d.next_attempt_at LIMIT $1::bigint)"
    " UPDATE webhook_deliveries d SET attempts = attempts + 1,"
    " next_attempt_at = now() + $5::bigint * interval '1 millisecond'"
    " FROM due WHERE d.id = due.id RETURNING d.id, d.webhook_id, d.tenant_id, d.attempts, due.url,"
    " due.secret, d.payload ->> 'kind', d.payload::text"};

static const struct db_statement finish_statement = {
    "delivery_finish",
    "UPDATE webhook_deliveries SET"
    " state = CASE WHEN $3::boolean THEN 'delivered' WHEN $4::boolean THEN 'dead' ELSE state END,"
    " ended_at = CASE WHEN $3::boolean OR $4::boolean THEN now() END,"
    " next_attempt_at = now() + $5::bigint * interval '1 millisecond',"
    " last_status = nullif($6::bigint, 0), last_error = $7::text"
    " WHERE id = $1::uuid AND attempts = $2::bigint AND state = 'pending'"};

/* What is under way, or between two attempts, is not due: its attempts end it. */
static const struct db_statement give_up_statement = {
    "delivery_give_up",
    "WITH old AS (SELECT id FROM webhook_deliveries WHERE state = 'pending'"
    " AND pending_since < now() - $1::bigint * interval '1 second' AND next_attempt_at <= now()"
    " ORDER BY pending_since LIMIT $2::bigint FOR UPDATE SKIP LOCKED),"
    " ended AS (UPDATE webhook_deliveries d SET state = 'dead', ended_at = now(),"
    " last_error = 'it waited too long' FROM old WHERE d.id = old.id"
    " RETURNING 1) SELECT count(*) FROM ended"};

/* What others have locked, such as a webhook's delete, is theirs: waiting for each other's rows
 * would be a deadlock. */
static const struct db_statement prune_statement = {
    "delivery_prune",
    "WITH pruned AS (DELETE FROM webhook_deliveries WHERE id IN (SELECT id FROM webhook_deliveries"
    " WHERE ended_at < now() - $1::bigint * interval '1 second' ORDER BY ended_at"
    " LIMIT $2::bigint FOR UPDATE SKIP LOCKED) RETURNING 1) SELECT count(*) FROM pruned"};

int store_delivery_fan_out(struct db_pool *pool, uint32_t limit, uint32_t waiting_max,
                           bool *ret_more, struct error *err)
{
    const struct db_param params[] = {db_int8(limit), db_int8(waiting_max)};
    const struct db_call calls[] = {{&fan_out_lock_statement, NULL, 0},
                                    DB_CALL(fan_out_statement, params)};
    PGresult *results[2] = {NULL};

    /* A crash forgets deliveries and cursor together. */
    if (db_run(pool, NULL, DB_RELAXED, calls, 2, results, err) < 0)
        return -1;
    *ret_more = db_get_int(results[1], 0, 0) == limit;
    db_results_clear(results, 2);
    return 0;
}

void delivery_claims_free(struct delivery_claims *claims)
{
    free(claims->items);
    PQclear(claims->owner);
    *claims = (struct delivery_claims){.items = NULL};
}

static int take_claims(PGresult **result, struct delivery_claims *ret_claims, struct error *err)
{
    size_t count = (size_t)PQntuples(*result);
    struct delivery_claim *items = calloc(count + 1, sizeof(*items));

    if (!items)
        return error_set_errno(err, ENOMEM, "cannot read the deliveries");
    for (int i = 0; i < (int)count; i++)
        items[i] = (struct delivery_claim){
            .id = db_get_uuid(*result, i, 0),
            .webhook = db_get_uuid(*result, i, 1),
            .tenant = db_get_uuid(*result, i, 2),
            .attempts = db_get_int(*result, i, 3),
            .url = db_get_text(*result, i, 4),
            .secret = db_get_text(*result, i, 5),
            .kind = db_get_text(*result, i, 6),
            .body = db_get_text(*result, i, 7),
        };
    *ret_claims =
        (struct delivery_claims){.items = items, .count = count, .owner = TAKE_PTR(*result)};
    return 0;
}

int store_delivery_claim(struct db_pool *pool, const struct delivery_room *room,
                         struct delivery_claims *ret_claims, struct error *err)
{
    _cleanup_db_array_ struct db_array webhooks, counts;
    struct db_param params[] = {db_int8(room->total), db_int8(room->per_webhook), db_null(),
                                db_null(), db_int8(room->lease_ms)};
    const struct db_call call = DB_CALL(claim_statement, params);
    _cleanup_pg_result_ PGresult *result = NULL;

    db_array_begin(&webhooks, DB_UUID);
    db_array_begin(&counts, DB_INT8);
    for (size_t i = 0; i < room->busy_count; i++) {
        db_array_add(&webhooks, room->busy[i].webhook.bytes, ID_BYTES);
        db_array_add_int8(&counts, room->busy[i].count);
    }
    /* Not durable: after a crash it is due at once, which is sooner than its lease. */
    if (db_array_param(&webhooks, &params[2], err) < 0 ||
        db_array_param(&counts, &params[3], err) < 0 ||
        db_run(pool, NULL, DB_RELAXED, &call, 1, &result, err) < 0)
        return -1;
    return take_claims(&result, ret_claims, err);
}

int store_delivery_finish(struct db_pool *pool, const struct delivery_outcome *outcome,
                          struct error *err)
{
    const struct db_param params[] = {
        db_uuid(&outcome->id),   db_int8(outcome->attempts), db_bool(outcome->delivered),
        db_bool(outcome->last),  db_int8(outcome->retry_ms), db_int8(outcome->http_status),
        db_text(outcome->error),
    };
    const struct db_call call = DB_CALL(finish_statement, params);
    _cleanup_pg_result_ PGresult *result = NULL;

    return db_run(pool, NULL, DB_DURABLE, &call, 1, &result, err);
}

/* Runs a statement of an age and a limit, which counts what it has changed. */
static int change_old(struct db_pool *pool, const struct db_statement *statement, uint32_t age_s,
                      uint32_t limit, uint64_t *ret_count, struct error *err)
{
    const struct db_param params[] = {db_int8(age_s), db_int8(limit)};
    const struct db_call call = {statement, params, 2};
    _cleanup_pg_result_ PGresult *result = NULL;

    if (db_run(pool, NULL, DB_RELAXED, &call, 1, &result, err) < 0)
        return -1;
    *ret_count = (uint64_t)db_get_int(result, 0, 0);
    return 0;
}

int store_delivery_give_up(struct db_pool *pool, uint32_t age_s, uint32_t limit,
                           uint64_t *ret_count, struct error *err)
{
    return change_old(pool, &give_up_statement, age_s, limit, ret_count, err);
}

int store_delivery_prune(struct db_pool *pool, uint32_t age_s, uint32_t limit, uint64_t *ret_count,
                         struct error *err)
{
    return change_old(pool, &prune_statement, age_s, limit, ret_count, err);
}
