#include "lib/db/record.h"

#include "lib/db/transaction.h"

enum record_column {
    COLUMN_ID,
    COLUMN_STATE,
    COLUMN_GENERATION,
    COLUMN_ACTIVE_RUNS,
    COLUMN_RUNTIME,
    COLUMN_ENTRY_POINT,
    COLUMN_TIMEOUT_MS,
    COLUMN_MEMORY_LIMIT_MB,
    COLUMN_FILE_COUNT,
    COLUMN_CREATED_AT,
    COLUMN_LAST_ACTIVE_AT,
    COLUMN_EXPIRES_AT,
    COLUMN_LAST_RUN_STATE,
};

int record_read(const PGresult *result, int row, struct sandbox_record *ret_record,
                struct error *err)
{
    const char *last_run = db_get_text(result, row, COLUMN_LAST_RUN_STATE);
    struct sandbox_record record = {
        .id = db_get_uuid(result, row, COLUMN_ID),
        .generation = (uint32_t)db_get_int(result, row, COLUMN_GENERATION),
        .active_runs = (uint32_t)db_get_int(result, row, COLUMN_ACTIVE_RUNS),
        .timeout_ms = (uint32_t)db_get_int(result, row, COLUMN_TIMEOUT_MS),
        .memory_limit_mb = (uint32_t)db_get_int(result, row, COLUMN_MEMORY_LIMIT_MB),
        .file_count = (uint32_t)db_get_int(result, row, COLUMN_FILE_COUNT),
        .created_usec = db_get_time(result, row, COLUMN_CREATED_AT),
        .last_active_usec = db_get_time(result, row, COLUMN_LAST_ACTIVE_AT),
        .expires_usec = db_get_time(result, row, COLUMN_EXPIRES_AT),
        .has_last_run = last_run != NULL,
    };

    if (!sandbox_state_parse(db_get_text(result, row, COLUMN_STATE), &record.state) ||
        (last_run && !process_state_parse(last_run, &record.last_run_state)))
        return error_set(err, ERR_INTERNAL, "the database has an unknown state");
    if (db_copy(result, row, COLUMN_RUNTIME, &record.runtime, NULL, err) < 0 ||
        db_copy(result, row, COLUMN_ENTRY_POINT, &record.entry_point, NULL, err) < 0) {
        sandbox_record_free(&record);
        return -1;
    }
    *ret_record = record;
    return 0;
}
