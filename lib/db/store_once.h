/*
 * Executions without a stored definition (POST /v1/runs): the run is a sandbox of its own, with
 * generation 1 and the run's id. See store_run.h for the end of an execution, which is the same.
 */
#ifndef LIB_DB_STORE_ONCE_H
#define LIB_DB_STORE_ONCE_H

#include "lib/db/store_run.h"

/*
 * Begins it in `project`, or when that is NULL in the caller's or the tenant's default one;
 * `run->sandbox` equals `run->id`. ERR_NOT_FOUND (field project_id) when the project is not there,
 * ERR_FORBIDDEN when the tenant is not, ERR_QUOTA with an event. Committed asynchronously, as
 * store_run_begin is. The caller frees *ret_policy_json, the project's command policy; NULL where
 * it has none, or it is off.
 */
int store_once_begin(struct db_pool *pool, const struct db_scope *scope,
                     const struct store_run *run, uint32_t memory_mb, const struct id *project,
                     const struct store_origin *origin, char **ret_policy_json, struct error *err);

#endif
