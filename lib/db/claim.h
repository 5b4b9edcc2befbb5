/*
 * A request's claim in front of its first durable transaction; see db.h. Internal to lib/db.
 */
#ifndef LIB_DB_CLAIM_H
#define LIB_DB_CLAIM_H

#include "lib/db/transaction.h"

enum { DB_CLAIM_PARAMS = 5 };

/* Fills the call that writes the claim; it borrows claim and parameters. */
void db_claim_fill(const struct db_claim *claim, struct db_param params[static DB_CLAIM_PARAMS],
                   struct db_call *ret_call);

/*
 * Notes how the transaction that wrote the claim ended: `status` of the whole, `settled` whether
 * its outcome is known, `result` what came of the claim's own call (NULL: nothing). Sets `err` for
 * a key that was there. Returns `status`.
 */
int db_claim_settle(struct db_claim *claim, int status, bool settled, const PGresult *result,
                    struct error *err);

/* Fails with what a refused claim means for every later change. */
int db_claim_refuse(struct error *err);

#endif
