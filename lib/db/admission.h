/*
 * Admission: quotas are checked and held in the transaction that adds what they limit. The call
 * made here goes first in its pipeline; a limit that would be passed fails the whole transaction
 * with ERR_QUOTA, which names the quota and carries limit, use and Retry-After. A tenant without
 * quotas costs one index probe. Internal to lib/db.
 *
 * Transactions lock quota rows before any row of `sandboxes`, so that none waits for another in a
 * circle.
 */
#ifndef LIB_DB_ADMISSION_H
#define LIB_DB_ADMISSION_H

#include "lib/db/store_sandbox.h"
#include "lib/db/transaction.h"

/* What is to be added. */
struct admission_need {
    uint64_t sandboxes;
    uint64_t cpu_milli;
    uint64_t memory_mb;
    uint64_t disk_mb;
    uint64_t processes;
    uint64_t creates; /* towards creates_per_minute */
};

/* The parameters of a call; they and what was passed in must live as long as the call. */
struct admission_params {
    struct db_param items[8];
};

/*
 * Admits a new sandbox. `project` NULL: the one that the transaction is bound to, or the tenant's
 * default one.
 */
struct db_call admission_create(struct admission_params *params, const struct id *tenant,
                                const struct id *project, const struct admission_need *need);

/*
 * Admits the start of a stored sandbox by what its row says it gets; for a definition, whose row
 * does not say all, by `need`'s cpu_milli and processes. Of `need` else only `creates` counts. One
 * that is up already, or is not there, is let through: the statement that follows will see it.
 */
struct db_call admission_start(struct admission_params *params, const struct id *tenant,
                               const struct id *sandbox, const struct admission_need *need);

/*
 * After a transaction that failed: when admission refused it (`err` is ERR_QUOTA), writes the event
 * admission.refused in a transaction of its own; a failure of that is not told. `sandbox` and
 * `project` may be NULL. `err` stays as it is.
 */
void admission_note(struct db_pool *pool, const struct id *tenant, const struct id *project,
                    const struct id *sandbox, const struct store_origin *origin,
                    const struct error *err);

#endif
