#include "lib/db/store_webhook.h"

#include "lib/db/refusal.h"
#include "lib/db/transaction.h"

#include <errno.h>
#include <stdlib.h>

#define COLUMNS                                                                                    \
    "id, project_id, url, to_jsonb(kinds)::text, is_active, version, created_at, updated_at"

/* $1 and $2 of every statement about one webhook. */
#define OWN_WEBHOOK "tenant_id = $1::uuid AND id = $2::uuid"

#define KINDS(param) "ARRAY(SELECT jsonb_array_elements_text(" param "::text::jsonb))"

/* The event of a change to the rows of `changed`; it ends a list of WITH queries. */
#define NOTE(kind, actor, request)                                                                 \
    " noted AS (INSERT INTO events (tenant_id, project_id, kind, actor, request_id, detail)"       \
    " SELECT tenant_id, project_id, '" kind "', " actor "::text, " request "::text,"               \
    " jsonb_build_object('webhook_id', replace(id::text, '-', '')) FROM changed)"

/* What has to be there, and how many there are already. */
static const struct db_statement surroundings_statement = {
    "webhook_surroundings",
    "SELECT EXISTS (SELECT FROM tenants WHERE id = $1::uuid),"
    " $2::uuid IS NULL OR EXISTS (SELECT FROM projects WHERE tenant_id = $1::uuid"
    " AND id = $2::uuid), (SELECT count(*) FROM webhooks WHERE tenant_id = $1::uuid)"};

static const struct db_statement insert_statement = {
    "webhook_insert",
    "WITH changed AS (INSERT INTO webhooks (id, tenant_id, project_id, url, secret, kinds)"
    " SELECT $3::uuid, id, $2::uuid, $4::text, $5::text, " KINDS(
        "$6") " FROM tenants"
              " WHERE id = $1::uuid AND ($2::uuid IS NULL OR EXISTS (SELECT FROM projects"
              " WHERE tenant_id = $1::uuid AND id = $2::uuid))"
              " AND (SELECT count(*) FROM webhooks WHERE tenant_id = $1::uuid) < $7::bigint"
              " RETURNING *)," NOTE("webhook.created", "$8", "$9") " SELECT " COLUMNS
                                                                   " FROM changed"};

static const struct db_statement get_statement = {
    "webhook_get", "SELECT " COLUMNS " FROM webhooks WHERE " OWN_WEBHOOK};

static const struct db_statement list_statement = {
    "webhook_list", "SELECT " COLUMNS " FROM webhooks WHERE tenant_id = $1::uuid"
                    " AND id < coalesce($2::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')"
                    " ORDER BY id DESC LIMIT $3::bigint"};

/* Its own statement: what follows sees the version that the lock has waited for. */
static const struct db_statement lock_statement = {
    "webhook_lock", "SELECT id FROM webhooks WHERE " OWN_WEBHOOK " FOR UPDATE"};

static const struct db_statement patch_statement = {
    "webhook_patch", "WITH changed AS (UPDATE webhooks SET url = coalesce($4::text, url),"
                     " kinds = CASE WHEN $5::text IS NULL THEN kinds ELSE " KINDS(
                         "$5") " END,"
                               " active_since = CASE WHEN $6::boolean AND NOT is_active THEN now() "
                               "ELSE active_since END,"
                               " is_active = coalesce($6::boolean, is_active), version = version + "
                               "1, updated_at = now()"
                               " WHERE " OWN_WEBHOOK " AND ($3::bigint < 0 OR version = $3::bigint)"
                               " RETURNING *)," NOTE("webhook.changed", "$7",
                                                     "$8") " SELECT " COLUMNS " FROM changed"};

static const struct db_statement delete_statement = {
    "webhook_delete", "WITH changed AS (DELETE FROM webhooks WHERE " OWN_WEBHOOK
                      " AND ($5::bigint < 0 OR version = $5::bigint) RETURNING *)," NOTE(
                          "webhook.deleted", "$3", "$4") " SELECT id FROM"
                                                         " changed"};

#define DELIVERY_COLUMNS                                                                           \
    "id, webhook_id, payload ->> 'id', payload::text, state, attempts,"                            \
    " CASE WHEN state = 'pending' THEN next_attempt_at END, last_status, last_error, created_at,"  \
    " ended_at"

#define DELIVERIES                                                                                 \
    "SELECT " DELIVERY_COLUMNS " FROM webhook_deliveries WHERE tenant_id = $1::uuid"               \
    " AND webhook_id = $2::uuid"                                                                   \
    " AND id < coalesce($3::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')"

/* Two statements, because each has an index in the list's order. */
static const struct db_statement deliveries_statement = {"webhook_deliveries", DELIVERIES
                                                         " ORDER BY id DESC LIMIT $4::bigint"};
static const struct db_statement deliveries_state_statement = {
    "webhook_deliveries_state",
    DELIVERIES " AND state = $5::text ORDER BY id DESC LIMIT $4::bigint"};

#define OWN_DELIVERY "tenant_id = $1::uuid AND webhook_id = $2::uuid AND id = $3::uuid"

static const struct db_statement lock_delivery_statement = {
    "webhook_lock_delivery", "SELECT id FROM webhook_deliveries WHERE " OWN_DELIVERY " FOR UPDATE"};

static const struct db_statement retry_statement = {
    "webhook_retry",
    "WITH again AS (UPDATE webhook_deliveries SET state = 'pending', attempts = 0,"
    " next_attempt_at = now(), pending_since = now(), ended_at = NULL WHERE " OWN_DELIVERY
    " AND state <> 'pending'"
    " RETURNING *), changed AS (SELECT w.* FROM webhooks w JOIN again ON w.id = webhook_id)," NOTE(
        "webhook.retried", "$4", "$5") " SELECT " DELIVERY_COLUMNS " FROM again"};

static void read_webhook(const PGresult *result, int row, struct webhook_record *ret_record)
{
    *ret_record = (struct webhook_record){
        .id = db_get_uuid(result, row, 0),
        .project = db_get_uuid(result, row, 1),
        .url = db_get_text(result, row, 2),
        .kinds_json = db_get_text(result, row, 3),
        .is_active = db_get_bool(result, row, 4),
        .version = db_get_int(result, row, 5),
        .created_usec = db_get_time(result, row, 6),
        .updated_usec = db_get_time(result, row, 7),
    };
}

/* The first row; the record owns the result. */
static void take_webhook(PGresult **result, struct webhook_record *ret_record)
{
    read_webhook(*result, 0, ret_record);
    ret_record->owner = TAKE_PTR(*result);
}

void webhook_record_free(struct webhook_record *record)
{
    PQclear(record->owner);
    record->owner = NULL;
}

void webhook_list_free(struct webhook_list *list)
{
    free(list->items);
    PQclear(list->owner);
    *list = (struct webhook_list){.items = NULL};
}

static int refused_insert(const PGresult *surroundings, struct error *err)
{
    if (!db_get_bool(surroundings, 0, 0))
        return refuse_tenant(err);
    if (!db_get_bool(surroundings, 0, 1))
        return refuse_project(err);
    return error_set(err, ERR_CONFLICT, "a tenant has at most %d webhooks", WEBHOOKS_MAX);
}

int store_webhook_insert(struct db_pool *pool, const struct db_scope *scope,
                         const struct webhook_spec *spec, const struct store_origin *origin,
                         struct webhook_record *ret_record, struct error *err)
{
    const struct id *bound = scope->has_project ? &scope->project : NULL;
    const struct db_param project = db_uuid(spec->project ? spec->project : bound);
    const struct db_param params[] = {db_uuid(&scope->tenant),    project,
                                      db_uuid(&spec->id),         db_text(spec->url),
                                      db_text(spec->secret),      db_text(spec->kinds_json),
                                      db_int8(WEBHOOKS_MAX),      db_text(origin->actor),
                                      db_text(origin->request_id)};
    const struct db_call calls[] = {{&surroundings_statement, params, 2},
                                    DB_CALL(insert_statement, params)};
    PGresult *results[2] = {NULL};
    int status = 0;

    if (db_run(pool, scope, DB_DURABLE, calls, 2, results, err) < 0)
        return -1;
    if (PQntuples(results[1]) == 1)
        take_webhook(&results[1], ret_record);
    else
        status = refused_insert(results[0], err);
    db_results_clear(results, 2);
    return status;
}

int store_webhook_get(struct db_pool *pool, const struct db_scope *scope, const struct id *id,
                      struct webhook_record *ret_record, struct error *err)
{
    const struct db_param params[] = {db_uuid(&scope->tenant), db_uuid(id)};
    const struct db_call call = DB_CALL(get_statement, params);
    _cleanup_pg_result_ PGresult *result = NULL;

    if (db_run(pool, scope, DB_RELAXED, &call, 1, &result, err) < 0)
        return -1;
    if (PQntuples(result) == 0)
        return refuse_missing("webhook", err);
    take_webhook(&result, ret_record);
    return 0;
}

int store_webhook_list(struct db_pool *pool, const struct db_scope *scope, uint32_t limit,
                       const struct id *before, struct webhook_list *ret_list, struct error *err)
{
    const struct db_param params[] = {db_uuid(&scope->tenant), db_uuid(before), db_int8(limit)};
    const struct db_call call = DB_CALL(list_statement, params);
    _cleanup_pg_result_ PGresult *result = NULL;
    struct webhook_record *items;
    size_t count;

    if (db_run(pool, scope, DB_RELAXED, &call, 1, &result, err) < 0)
        return -1;
    count = (size_t)PQntuples(result);
    items = calloc(count + 1, sizeof(*items));
    if (!items)
        return error_set_errno(err, ENOMEM, "cannot list webhooks");
    for (size_t i = 0; i < count; i++)
        read_webhook(result, (int)i, &items[i]);
    *ret_list = (struct webhook_list){.items = items, .count = count, .owner = TAKE_PTR(result)};
    return 0;
}

int store_webhook_patch(struct db_pool *pool, const struct db_scope *scope, const struct id *id,
                        const struct webhook_patch *patch, int64_t version,
                        const struct store_origin *origin, struct webhook_record *ret_record,
                        struct error *err)
{
    const struct db_param params[] = {
        db_uuid(&scope->tenant),    db_uuid(id),
        db_int8(version),           db_text(patch->url),
        db_text(patch->kinds_json), patch->set_active ? db_bool(patch->is_active) : db_null(),
        db_text(origin->actor),     db_text(origin->request_id)};
    const struct db_call calls[] = {{&lock_statement, params, 2}, DB_CALL(patch_statement, params)};
    PGresult *results[2] = {NULL};
    int status = 0;

    if (db_run(pool, scope, DB_DURABLE, calls, 2, results, err) < 0)
        return -1;
    if (PQntuples(results[1]) == 1)
        take_webhook(&results[1], ret_record);
    else if (PQntuples(results[0]) == 0)
        status = refuse_missing("webhook", err);
    else
        status = refuse_version("webhook", err);
    db_results_clear(results, 2);
    return status;
}

int store_webhook_delete(struct db_pool *pool, const struct db_scope *scope, const struct id *id,
                         int64_t version, const struct store_origin *origin, struct error *err)
{
    const struct db_param params[] = {db_uuid(&scope->tenant), db_uuid(id), db_text(origin->actor),
                                      db_text(origin->request_id), db_int8(version)};
    const struct db_call calls[] = {{&lock_statement, params, 2},
                                    DB_CALL(delete_statement, params)};
    PGresult *results[2] = {NULL};
    int status = 0;

    if (db_run(pool, scope, DB_DURABLE, calls, 2, results, err) < 0)
        return -1;
    if (PQntuples(results[0]) == 0)
        status = refuse_missing("webhook", err);
    else if (PQntuples(results[1]) == 0)
        status = refuse_version("webhook", err);
    db_results_clear(results, 2);
    return status;
}

static void read_delivery(const PGresult *result, int row, struct webhook_delivery *ret_delivery)
{
    *ret_delivery = (struct webhook_delivery){
        .id = db_get_uuid(result, row, 0),
        .webhook = db_get_uuid(result, row, 1),
        .event_id = db_get_text(result, row, 2),
        .payload_json = db_get_text(result, row, 3),
        .state = db_get_text(result, row, 4),
        .attempts = db_get_int(result, row, 5),
        .next_attempt_usec = db_get_time(result, row, 6),
        .last_status = db_get_int(result, row, 7),
        .last_error = db_get_text(result, row, 8),
        .created_usec = db_get_time(result, row, 9),
        .ended_usec = db_get_time(result, row, 10),
    };
}

void webhook_delivery_free(struct webhook_delivery *delivery)
{
    PQclear(delivery->owner);
    delivery->owner = NULL;
}

void webhook_delivery_list_free(struct webhook_delivery_list *list)
{
    free(list->items);
    PQclear(list->owner);
    *list = (struct webhook_delivery_list){.items = NULL};
}

static int take_deliveries(PGresult **result, struct webhook_delivery_list *ret_list,
                           struct error *err)
{
    size_t count = (size_t)PQntuples(*result);
    struct webhook_delivery *items = calloc(count + 1, sizeof(*items));

    if (!items)
        return error_set_errno(err, ENOMEM, "cannot list deliveries");
    for (size_t i = 0; i < count; i++)
        read_delivery(*result, (int)i, &items[i]);
    *ret_list =
        (struct webhook_delivery_list){.items = items, .count = count, .owner = TAKE_PTR(*result)};
    return 0;
}

int store_webhook_deliveries(struct db_pool *pool, const struct db_scope *scope,
                             const struct id *webhook, const struct webhook_delivery_filter *filter,
                             struct webhook_delivery_list *ret_list, struct error *err)
{
    const struct db_param params[] = {db_uuid(&scope->tenant), db_uuid(webhook),
                                      db_uuid(filter->before), db_int8(filter->limit),
                                      db_text(filter->state)};
    const struct db_call list = {filter->state ? &deliveries_state_statement
                                               : &deliveries_statement,
                                 params, filter->state ? 5 : 4};
    const struct db_call calls[] = {{&get_statement, params, 2}, list};
    PGresult *results[2] = {NULL};
    int status;

    if (db_run(pool, scope, DB_RELAXED, calls, 2, results, err) < 0)
        return -1;
    if (PQntuples(results[0]) == 0)
        status = refuse_missing("webhook", err);
    else
        status = take_deliveries(&results[1], ret_list, err);
    db_results_clear(results, 2);
    return status;
}

int store_webhook_retry(struct db_pool *pool, const struct db_scope *scope,
                        const struct id *webhook, const struct id *delivery,
                        const struct store_origin *origin, struct webhook_delivery *ret_delivery,
                        struct error *err)
{
    const struct db_param params[] = {db_uuid(&scope->tenant), db_uuid(webhook), db_uuid(delivery),
                                      db_text(origin->actor), db_text(origin->request_id)};
    const struct db_call calls[] = {{&lock_delivery_statement, params, 3},
                                    DB_CALL(retry_statement, params)};
    PGresult *results[2] = {NULL};
    int status = 0;

    if (db_run(pool, scope, DB_DURABLE, calls, 2, results, err) < 0)
        return -1;
    if (PQntuples(results[1]) == 1) {
        read_delivery(results[1], 0, ret_delivery);
        ret_delivery->owner = TAKE_PTR(results[1]);
    } else if (PQntuples(results[0]) == 1) {
        status = error_set(err, ERR_CONFLICT, "the delivery is pending");
    } else {
        status = refuse_missing("delivery", err);
    }
    db_results_clear(results, 2);
    return status;
}
