#include "lib/db/store_idempotency.h"

#include "lib/db/transaction.h"

#include <stdlib.h>
#include <string.h>

#define OWN_KEY   " WHERE tenant_id = $1::uuid AND key = $2::text"
#define OWN_CLAIM OWN_KEY " AND boot_id = $3::uuid AND status IS NULL"

static const struct db_statement find_statement = {
    "key_find", "SELECT fingerprint = $3::bytea, status, media_type, etag, answer"
                " FROM idempotency_keys" OWN_KEY};

enum find_column { FIND_SAME, FIND_STATUS, FIND_MEDIA_TYPE, FIND_ETAG, FIND_ANSWER };

static const struct db_statement take_statement = {
    "key_take", "UPDATE idempotency_keys k SET boot_id = $3::uuid, claimed_at = now()" OWN_KEY
                " AND fingerprint = $4::bytea AND status IS NULL"
                " AND (boot_id IS NULL OR boot_id = $3::uuid"
                " OR claimed_at < now() - $5::bigint * interval '1 second'"
                " OR NOT EXISTS (SELECT FROM nodes n WHERE n.boot_id = k.boot_id))"
                " RETURNING resource_id"};

static const struct db_statement answer_statement = {
    "key_answer", "INSERT INTO idempotency_keys AS k (tenant_id, key, boot_id, fingerprint, status,"
                  " media_type, etag, answer) VALUES ($1::uuid, $2::text, $3::uuid, $4::bytea,"
                  " $5::bigint, $6::text, $7::text, $8::bytea) ON CONFLICT (tenant_id, key)"
                  " DO UPDATE SET status = excluded.status, media_type = excluded.media_type,"
                  " etag = excluded.etag, answer = excluded.answer WHERE k.boot_id = $3::uuid AND "
                  "k.status IS NULL"
                  " AND k.fingerprint = excluded.fingerprint"};

static const struct db_statement leave_statement = {
    "key_leave", "UPDATE idempotency_keys SET boot_id = NULL" OWN_CLAIM};

static const struct db_statement forget_statement = {"key_forget",
                                                     "DELETE FROM idempotency_keys" OWN_CLAIM};

void store_answer_free(struct store_answer *answer)
{
    free(answer->media_type);
    free(answer->etag);
    free(answer->data);
    memset(answer, 0, sizeof(*answer));
}

static int read_answer(const PGresult *row, struct store_answer *ret_answer, struct error *err)
{
    struct store_answer answer = {.status = (int)db_get_int(row, 0, FIND_STATUS)};

    if (db_copy(row, 0, FIND_MEDIA_TYPE, &answer.media_type, NULL, err) < 0 ||
        db_copy(row, 0, FIND_ETAG, &answer.etag, NULL, err) < 0 ||
        db_copy(row, 0, FIND_ANSWER, &answer.data, &answer.size, err) < 0) {
        store_answer_free(&answer);
        return -1;
    }
    *ret_answer = answer;
    return 0;
}

int store_key_find(struct db_pool *pool, const struct db_scope *scope, const struct db_claim *claim,
                   enum store_key_state *ret_state, struct store_answer *ret_answer,
                   struct error *err)
{
    const struct db_param params[] = {db_uuid(&claim->tenant), db_text(claim->key),
                                      db_bytes(claim->fingerprint, sizeof(claim->fingerprint))};
    const struct db_call call = DB_CALL(find_statement, params);
    _cleanup_pg_result_ PGresult *row = NULL;

    if (db_run(pool, scope, DB_RELAXED, &call, 1, &row, err) < 0)
        return -1;
    if (PQntuples(row) == 0)
        *ret_state = STORE_KEY_ABSENT;
    else if (!db_get_bool(row, 0, FIND_SAME))
        *ret_state = STORE_KEY_OTHER;
    else if (PQgetisnull(row, 0, FIND_STATUS))
        *ret_state = STORE_KEY_UNANSWERED;
    else if (read_answer(row, ret_answer, err) < 0)
        return -1;
    else
        *ret_state = STORE_KEY_ANSWERED;
    return 0;
}

int store_key_take(struct db_pool *pool, const struct db_scope *scope, struct db_claim *claim,
                   uint32_t lease_s, bool *ret_taken, struct error *err)
{
    const struct db_param params[] = {
        db_uuid(&claim->tenant), db_text(claim->key), db_uuid(&claim->boot_id),
        db_bytes(claim->fingerprint, sizeof(claim->fingerprint)), db_int8(lease_s)};
    const struct db_call call = DB_CALL(take_statement, params);
    _cleanup_pg_result_ PGresult *row = NULL;

    if (db_run(pool, scope, DB_RELAXED, &call, 1, &row, err) < 0)
        return -1;
    *ret_taken = PQntuples(row) == 1;
    if (*ret_taken)
        claim->resource = db_get_uuid(row, 0, 0);
    return 0;
}

int store_key_answer(struct db_pool *pool, const struct db_scope *scope,
                     const struct db_claim *claim, const struct store_answer *answer,
                     struct error *err)
{
    const struct db_param params[] = {
        db_uuid(&claim->tenant),  db_text(claim->key),
        db_uuid(&claim->boot_id), db_bytes(claim->fingerprint, sizeof(claim->fingerprint)),
        db_int8(answer->status),  db_text(answer->media_type),
        db_text(answer->etag),    db_bytes(answer->data, answer->size)};
    const struct db_call call = DB_CALL(answer_statement, params);
    _cleanup_pg_result_ PGresult *result = NULL;

    return db_run(pool, scope, DB_RELAXED, &call, 1, &result, err);
}

static int run_on_claim(struct db_pool *pool, const struct db_scope *scope,
                        const struct db_claim *claim, const struct db_statement *statement,
                        struct error *err)
{
    const struct db_param params[] = {db_uuid(&claim->tenant), db_text(claim->key),
                                      db_uuid(&claim->boot_id)};
    const struct db_call call = {statement, params, sizeof(params) / sizeof(params[0])};
    _cleanup_pg_result_ PGresult *result = NULL;

    return db_run(pool, scope, DB_RELAXED, &call, 1, &result, err);
}

int store_key_leave(struct db_pool *pool, const struct db_scope *scope,
                    const struct db_claim *claim, struct error *err)
{
    return run_on_claim(pool, scope, claim, &leave_statement, err);
}

int store_key_forget(struct db_pool *pool, const struct db_scope *scope,
                     const struct db_claim *claim, struct error *err)
{
    return run_on_claim(pool, scope, claim, &forget_statement, err);
}
