/* The columns of a struct sandbox_record and how to read them. Internal to lib/db. */
#ifndef LIB_DB_RECORD_H
#define LIB_DB_RECORD_H

#include <atoll/error.h>
#include <atoll/sandbox.h>
#include <postgresql/libpq-fe.h>

#define RECORD_COLUMNS                                                                             \
    "id, state, generation, active_runs, runtime, entry_point, timeout_ms, memory_limit_mb,"       \
    " file_count, created_at, last_active_at, expires_at, last_run_state"

/* Reads a row of a result that begins with RECORD_COLUMNS. */
int record_read(const PGresult *result, int row, struct sandbox_record *ret_record,
                struct error *err);

#endif
