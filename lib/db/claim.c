#include "lib/db/claim.h"

#include <string.h>

/* Waits for another transaction that writes the same key to end. */
static const struct db_statement claim_statement = {
    "claim", "INSERT INTO idempotency_keys (tenant_id, key, fingerprint, resource_id, boot_id)"
             " VALUES ($1::uuid, $2::text, $3::bytea, $4::uuid, $5::uuid)"};

void db_claim_fill(const struct db_claim *claim, struct db_param params[static DB_CLAIM_PARAMS],
                   struct db_call *ret_call)
{
    params[0] = db_uuid(&claim->tenant);
    params[1] = db_text(claim->key);
    params[2] = db_bytes(claim->fingerprint, sizeof(claim->fingerprint));
    params[3] = db_uuid(id_or_null(&claim->resource));
    params[4] = db_uuid(&claim->boot_id);
    *ret_call = (struct db_call){&claim_statement, params, DB_CLAIM_PARAMS};
}

/* unique_violation (PostgreSQL's documentation, appendix A), of the key: it is the one constraint
 * of its table that a claim can break. */
static bool is_taken(const PGresult *result)
{
    const char *sqlstate = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;

    return sqlstate && strcmp(sqlstate, "23505") == 0;
}

int db_claim_settle(struct db_claim *claim, int status, bool settled, const PGresult *result,
                    struct error *err)
{
    if (status == 0) {
        claim->state = DB_CLAIM_HELD;
        return 0;
    }
    if (is_taken(result)) {
        claim->state = DB_CLAIM_REFUSED;
        return db_claim_refuse(err);
    }
    claim->state = settled ? DB_CLAIM_OPEN : DB_CLAIM_UNKNOWN;
    return status;
}

int db_claim_refuse(struct error *err)
{
    return error_set(err, ERR_CONFLICT, "a request with this Idempotency-Key came before");
}
