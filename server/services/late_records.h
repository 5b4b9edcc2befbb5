/*
 * Ends of executions that PostgreSQL was away for: kept in memory and written once it is back, so
 * that an execution whose result was delivered is not shown as lost, and one that was refused as
 * its begin was not answered counts for no quota. Bounded; beyond the bound, or when the server
 * dies first, the worker marks the run `lost`.
 */
#ifndef SERVER_SERVICES_LATE_RECORDS_H
#define SERVER_SERVICES_LATE_RECORDS_H

#include "lib/db/store_run.h"

struct late_records;

/* Starts the thread that writes them. The pool must outlive it. */
int late_records_start(struct db_pool *db, struct late_records **ret_records, struct error *err);

/* Stops the thread and frees; logs how many were left. NULL is allowed. */
void late_records_stop(struct late_records *records);

/* Keeps a copy of one end, and of whose it is; `end->node_id` must live as long as the process.
 * False when full; those in doubt leave half of the room to the others. */
bool late_records_add(struct late_records *records, const struct db_scope *scope,
                      const struct store_run_end *end);

#endif
