#include "lib/db/store_system.h"

#include "lib/db/deletion.h"
#include "lib/db/transaction.h"

#include <atoll/id.h>
#include <errno.h>
#include <string.h>

/* Rows that one round of retention looks at, of each kind. */
enum { RETENTION_BATCH = 10000, PARTITION_HOURS_AHEAD = 24 };

enum { PARTITIONS_A_CALL = 100 }; /* of samples_drop_partitions */

static const char *const claim_rules[] = {
#define STORE_CLAIM_WORD(symbol, word) [symbol] = (word),
    STORE_CLAIM_RULES(STORE_CLAIM_WORD)
#undef STORE_CLAIM_WORD
};

/* A deletion's last_active_at is the time of its last claim. */
static const struct db_statement claim_statement = {
    "system_claim",
    "WITH due AS (SELECT id, state, CASE WHEN state = 'deleting' THEN 'unfinished'"
    " WHEN expires_at <= now() THEN 'max_lifetime' ELSE 'idle_timeout' END AS rule"
    " FROM sandboxes WHERE deleted_at IS NULL AND CASE WHEN state = 'deleting'"
    " THEN last_active_at < now() - interval '30 seconds'"
    " ELSE expires_at <= now() OR (kind = 'definition' AND active_runs = 0"
    " AND last_active_at + idle_timeout_s * interval '1 second' <= now()) END"
    " ORDER BY expires_at LIMIT $1::bigint FOR UPDATE SKIP LOCKED),"
    " moved AS (UPDATE sandboxes s SET state = 'deleting', last_active_at = now(),"
    " state_reason = CASE due.rule WHEN 'unfinished' THEN s.state_reason ELSE due.rule END"
    " FROM due WHERE s.id = due.id"
    " RETURNING s.id, s.tenant_id, s.project_id, s.kind, due.state AS from_state,"
    " due.rule),"
    " noted AS (INSERT INTO events"
    " (tenant_id, project_id, sandbox_id, kind, from_state, to_state, actor, detail)"
    " SELECT tenant_id, project_id, id, 'sandbox.deleting', from_state, 'deleting', 'worker',"
    " jsonb_build_object('rule', rule) FROM moved WHERE from_state <> 'deleting')"
    " SELECT id, tenant_id, rule, kind = 'container' FROM moved"};

/* Its own statement, as in store_deletion.c. */
static const struct db_statement deleting_runs_statement = {
    "system_deleting_runs",
    "SELECT p.sandbox_id, p.generation FROM processes p JOIN sandboxes s ON s.id = p.sandbox_id"
    " WHERE p.ended_at IS NULL AND s.state = 'deleting'"};

static const struct db_statement finish_statement = {"system_finish",
                                                     DELETION_FINISH("$1::boolean")};

/* Sandboxes are locked in the order of their ids, so that two workers never wait for each other. */
static const struct db_statement lost_statement = {
    "system_lost",
    "WITH lost AS (SELECT p.id, p.tenant_id, p.project_id, p.sandbox_id, p.generation, p.node_id,"
    " CASE WHEN n.boot_id <> p.boot_id THEN 'server_restarted' ELSE 'deadline_passed' END AS rule"
    " FROM processes p LEFT JOIN nodes n ON n.id = p.node_id WHERE p.ended_at IS NULL"
    " AND p.kind IS NULL AND (n.boot_id <> p.boot_id OR p.deadline_at + interval '60 seconds' < "
    "now())"
    " LIMIT $1::bigint FOR UPDATE OF p SKIP LOCKED),"
    " locked AS MATERIALIZED (SELECT id FROM sandboxes WHERE id IN (SELECT sandbox_id FROM lost)"
    " ORDER BY id FOR UPDATE),"
    " ended AS (UPDATE processes p SET state = 'lost', ended_at = now()"
    " FROM lost WHERE p.id = lost.id RETURNING p.id),"
    " released AS (UPDATE sandboxes s SET active_runs = greatest(s.active_runs - c.runs, 0),"
    " state = CASE WHEN s.state = 'running' AND s.active_runs <= c.runs THEN 'stopped'"
    " ELSE s.state END, last_run_state = 'lost'"
    " FROM (SELECT sandbox_id, count(*)::integer AS runs FROM lost GROUP BY sandbox_id) c"
    " JOIN locked ON locked.id = c.sandbox_id WHERE s.id = c.sandbox_id"
    " RETURNING s.id, s.tenant_id, s.project_id, s.state, s.active_runs),"
    " noted AS (INSERT INTO events"
    " (tenant_id, project_id, sandbox_id, kind, from_state, to_state, actor, detail)"
    " SELECT tenant_id, project_id, sandbox_id, 'run.lost', NULL, NULL, 'worker', "
    "jsonb_build_object("
    "'run', replace(id::text, '-', ''), 'generation', generation, 'node', node_id, 'rule', rule)"
    " FROM lost UNION ALL SELECT tenant_id, project_id, id, 'sandbox.stopped', 'running', "
    "'stopped', 'worker',"
    " NULL FROM released WHERE state = 'stopped' AND active_runs = 0)"
    " SELECT count(*) FROM lost"};

/* The minute's grace is the one of lost_statement. */
static const struct db_statement orphans_statement = {
    "system_orphans", "SELECT l.place FROM unnest($1::uuid[], $2::bigint[], $3::bigint[])"
                      " WITH ORDINALITY l (id, generation, age_usec, place)"
                      " LEFT JOIN sandboxes s ON s.id = l.id"
                      " WHERE CASE WHEN s.kind = 'container'"
                      " THEN NOT (s.is_up AND s.generation = l.generation)"
                      " WHEN EXISTS (SELECT FROM processes p WHERE p.sandbox_id = l.id"
                      " AND p.generation = l.generation AND p.ended_at IS NULL)"
                      " THEN coalesce(s.state IN ('deleting', 'deleted'), false)"
                      " WHEN s.generation < l.generation AND s.deleted_at IS NULL"
                      " THEN l.age_usec > (s.timeout_ms + 60000) * 1000::bigint ELSE true END"};

/* As in store_delivery.c: what a project's or a tenant's delete has locked is not waited for. */
static const struct db_statement prune_tombstones_statement = {
    "system_prune_tombstones",
    "WITH pruned AS (DELETE FROM sandboxes WHERE id IN (SELECT id FROM sandboxes"
    " WHERE deleted_at < now() - $1::bigint * interval '1 second' ORDER BY deleted_at"
    " LIMIT $2::bigint FOR UPDATE SKIP LOCKED) RETURNING 1) SELECT count(*) FROM pruned"};

/*
 * An index on ended_at would be written by every execution. Ids begin with their time (RFC 9562,
 * section 5.7), so the key finds what began so long ago; what of it lives on, or has not ended for
 * so long, is passed over: the next call goes on behind the last that this one looked at. What ran
 * in a container that is gone, on a node that never came back, nobody ends.
 */
static const struct db_statement prune_processes_statement = {
    "system_prune_processes",
    "WITH looked AS MATERIALIZED (SELECT id, sandbox_id, kind, ended_at FROM processes"
    " WHERE id > $3::uuid"
    " AND id < (lpad(to_hex((extract(epoch FROM now() - $1::bigint * interval '1 second') * 1000)"
    "::bigint), 12, '0') || repeat('0', 20))::uuid ORDER BY id LIMIT $2::bigint),"
    " pruned AS (DELETE FROM processes WHERE id IN (SELECT id FROM looked"
    " WHERE ended_at < now() - $1::bigint * interval '1 second' OR (ended_at IS NULL"
    " AND kind IS NOT NULL AND NOT EXISTS (SELECT FROM sandboxes s WHERE s.id = sandbox_id)))"
    " RETURNING 1) SELECT (SELECT count(*) FROM pruned), (SELECT count(*) FROM looked),"
    " (SELECT id FROM looked ORDER BY id DESC LIMIT 1)"};

static const struct db_statement prune_events_statement = {
    "system_prune_events",
    "SELECT events_prune(now() - $1::bigint * interval '1 second', $2::bigint::integer)"};

/* A day: what docs/api/idempotency.md promises. */
static const struct db_statement prune_keys_statement = {
    "system_prune_keys",
    "WITH pruned AS (DELETE FROM idempotency_keys WHERE (tenant_id, key) IN (SELECT tenant_id, key"
    " FROM idempotency_keys WHERE created_at < now() - interval '24 hours' ORDER BY created_at"
    " LIMIT $1::bigint) RETURNING 1) SELECT count(*) FROM pruned"};

static const struct db_statement make_partitions_statement = {
    "system_make_partitions", "SELECT samples_make_partitions($1::bigint::integer)"};

static const struct db_statement drop_partitions_statement = {
    "system_drop_partitions",
    "SELECT samples_drop_partitions(now() - $1::bigint * interval '1 second')"};

void store_claims_free(struct store_claims *claims)
{
    for (size_t i = 0; i < claims->count; i++)
        free(claims->items[i].generations);
    free(claims->items);
    memset(claims, 0, sizeof(*claims));
}

static enum store_claim_rule claim_rule(const char *word)
{
    enum store_claim_rule rule = STORE_CLAIM_IDLE_TIMEOUT;

    while (rule < STORE_CLAIM_UNFINISHED && strcmp(claim_rules[rule], word) != 0)
        rule++;
    return rule;
}

/* Adds the live runs of the claim's sandbox. */
static int read_generations(const PGresult *runs, struct store_claim *claim, struct error *err)
{
    int total = PQntuples(runs);

    for (int i = 0; i < total; i++) {
        const struct id id = db_get_uuid(runs, i, 0);
        uint32_t *longer;

        if (!id_equal(&id, &claim->id))
            continue;
        longer = realloc(claim->generations, (claim->count + 1) * sizeof(*longer));
        if (!longer)
            return error_set_errno(err, ENOMEM, "cannot read the claims");
        claim->generations = longer;
        claim->generations[claim->count++] = (uint32_t)db_get_int(runs, i, 1);
    }
    return 0;
}

static int read_claims(PGresult *const *results, struct store_claims *claims, struct error *err)
{
    int count = PQntuples(results[0]);

    if (count == 0)
        return 0;
    claims->items = calloc((size_t)count, sizeof(*claims->items));
    if (!claims->items)
        return error_set_errno(err, ENOMEM, "cannot read the claims");
    for (int i = 0; i < count; i++) {
        struct store_claim *claim = &claims->items[claims->count++];

        claim->id = db_get_uuid(results[0], i, 0);
        claim->tenant = db_get_uuid(results[0], i, 1);
        claim->rule = claim_rule(db_get_text(results[0], i, 2));
        claim->container = db_get_bool(results[0], i, 3);
        if (read_generations(results[1], claim, err) < 0)
            return -1;
    }
    return 0;
}

int store_claim_expired(struct db_pool *pool, uint32_t limit, struct store_claims *ret_claims,
                        struct error *err)
{
    const struct db_param params[] = {db_int8(limit)};
    const struct db_call calls[] = {DB_CALL(claim_statement, params),
                                    {&deleting_runs_statement, NULL, 0}};
    struct store_claims claims = {.items = NULL};
    PGresult *results[2] = {NULL};
    int status;

    if (db_run(pool, NULL, DB_DURABLE, calls, 2, results, err) < 0)
        return -1;
    status = read_claims(results, &claims, err);
    db_results_clear(results, 2);
    if (status < 0)
        store_claims_free(&claims);
    else
        *ret_claims = claims;
    return status;
}

int store_claim_finish(struct db_pool *pool, const struct id *id, bool *ret_finished,
                       struct error *err)
{
    const struct db_param params[] = {db_bool(true), db_uuid(id), db_text("worker"), db_null()};
    const struct db_call call = DB_CALL(finish_statement, params);
    _cleanup_pg_result_ PGresult *result = NULL;

    if (db_run(pool, NULL, DB_DURABLE, &call, 1, &result, err) < 0)
        return -1;
    *ret_finished = PQntuples(result) == 1;
    return 0;
}

int store_mark_lost_runs(struct db_pool *pool, uint32_t limit, uint32_t *ret_count,
                         struct error *err)
{
    const struct db_param params[] = {db_int8(limit)};
    const struct db_call call = DB_CALL(lost_statement, params);
    _cleanup_pg_result_ PGresult *result = NULL;

    if (db_run(pool, NULL, DB_DURABLE, &call, 1, &result, err) < 0)
        return -1;
    *ret_count = (uint32_t)db_get_int(result, 0, 0);
    return 0;
}

int store_find_orphans(struct db_pool *pool, struct store_live *live, size_t count,
                       struct error *err)
{
    _cleanup_db_array_ struct db_array ids, generations, ages;
    struct db_param params[3];
    const struct db_call call = DB_CALL(orphans_statement, params);
    _cleanup_pg_result_ PGresult *result = NULL;

    db_array_begin(&ids, DB_UUID);
    db_array_begin(&generations, DB_INT8);
    db_array_begin(&ages, DB_INT8);
    for (size_t i = 0; i < count; i++) {
        db_array_add(&ids, live[i].id.bytes, ID_BYTES);
        db_array_add_int8(&generations, live[i].generation);
        db_array_add_int8(&ages, (int64_t)(live[i].age_usec & INT64_MAX));
    }
    if (db_array_param(&ids, &params[0], err) < 0 ||
        db_array_param(&generations, &params[1], err) < 0 ||
        db_array_param(&ages, &params[2], err) < 0 ||
        db_run(pool, NULL, DB_RELAXED, &call, 1, &result, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        live[i].orphan = false;
    for (int i = 0; i < PQntuples(result); i++)
        live[db_get_int(result, i, 0) - 1].orphan = true;
    return 0;
}

/* Partitions have a transaction of their own: dropping one locks `samples`. */
static int retain_partitions(struct db_pool *pool, uint32_t age_s, uint64_t *ret_dropped,
                             struct error *err)
{
    const struct db_param ahead[] = {db_int8(PARTITION_HOURS_AHEAD)};
    const struct db_param age[] = {db_int8(age_s)};
    const struct db_call calls[] = {DB_CALL(make_partitions_statement, ahead),
                                    DB_CALL(drop_partitions_statement, age)};
    PGresult *results[2] = {NULL};

    if (db_run(pool, NULL, DB_RELAXED, calls, 2, results, err) < 0)
        return -1;
    *ret_dropped = (uint64_t)db_get_int(results[1], 0, 0);
    db_results_clear(results, 2);
    return 0;
}

/* Whether the call ended before the last row there is, which the next one begins behind. */
static bool read_processes_look(const PGresult *result, struct id *ret_place)
{
    bool full = db_get_int(result, 0, 1) == RETENTION_BATCH;

    *ret_place = full ? db_get_uuid(result, 0, 2) : (struct id){.bytes = {0}};
    return full;
}

int store_retention(struct db_pool *pool, const struct store_ages *ages, struct id *inout_processes,
                    struct store_retained *ret_retained, struct error *err)
{
    const struct db_param params[] = {db_int8(ages->ended_s), db_int8(RETENTION_BATCH)};
    const struct db_param event_params[] = {db_int8(ages->events_s), db_int8(RETENTION_BATCH)};
    const struct db_param process_params[] = {db_int8(ages->events_s), db_int8(RETENTION_BATCH),
                                              db_uuid(inout_processes)};
    const struct db_param key_params[] = {db_int8(RETENTION_BATCH)};
    const struct db_call calls[] = {DB_CALL(prune_tombstones_statement, params),
                                    DB_CALL(prune_processes_statement, process_params),
                                    DB_CALL(prune_events_statement, event_params),
                                    DB_CALL(prune_keys_statement, key_params)};
    struct store_retained retained;
    PGresult *results[4] = {NULL};

    if (db_run(pool, NULL, DB_RELAXED, calls, 4, results, err) < 0)
        return -1;
    retained.tombstones = (uint64_t)db_get_int(results[0], 0, 0);
    retained.processes = (uint64_t)db_get_int(results[1], 0, 0);
    retained.events = (uint64_t)db_get_int(results[2], 0, 0);
    retained.idempotency_keys = (uint64_t)db_get_int(results[3], 0, 0);
    retained.full = read_processes_look(results[1], inout_processes) ||
                    retained.tombstones == RETENTION_BATCH || retained.events == RETENTION_BATCH ||
                    retained.idempotency_keys == RETENTION_BATCH;
    db_results_clear(results, 4);
    if (retain_partitions(pool, ages->ended_s, &retained.sample_partitions, err) < 0)
        return -1;
    retained.full |= retained.sample_partitions == PARTITIONS_A_CALL;
    *ret_retained = retained;
    return 0;
}
