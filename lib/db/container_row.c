#include "lib/db/container_row.h"

#include "lib/db/transaction.h"

#include <errno.h>

enum container_column {
    COLUMN_ID,
    COLUMN_TENANT,
    COLUMN_PROJECT,
    COLUMN_STATE,
    COLUMN_GENERATION,
    COLUMN_VERSION,
    COLUMN_STATE_REASON,
    COLUMN_NAME,
    COLUMN_IMAGE,
    COLUMN_RUNTIME,
    COLUMN_COMMAND,
    COLUMN_ENTRYPOINT,
    COLUMN_PORTS,
    COLUMN_LABELS,
    COLUMN_CAP_ADD,
    COLUMN_CAP_DROP,
    COLUMN_ENV,
    COLUMN_NETWORK,
    COLUMN_NODE,
    COLUMN_READ_ONLY_ROOT,
    COLUMN_CPU_MILLI,
    COLUMN_MEMORY_MB,
    COLUMN_DISK_MB,
    COLUMN_PIDS_MAX,
    COLUMN_RUN_TIMEOUT,
    COLUMN_MAX_RETRIES,
    COLUMN_COMMAND_TIMEOUT_MS,
    COLUMN_IDLE_TIMEOUT,
    COLUMN_MAX_LIFETIME,
    COLUMN_EXIT_CODE,
    COLUMN_EXIT_SIGNAL,
    COLUMN_CREATED_AT,
    COLUMN_STARTED_AT,
    COLUMN_LAST_ACTIVE_AT,
    COLUMN_EXPIRES_AT,
};

static void read_texts(const PGresult *result, int row, struct container_record *record)
{
    record->state_reason = db_get_text(result, row, COLUMN_STATE_REASON);
    record->name = db_get_text(result, row, COLUMN_NAME);
    record->image = db_get_text(result, row, COLUMN_IMAGE);
    record->runtime = db_get_text(result, row, COLUMN_RUNTIME);
    record->command_json = db_get_text(result, row, COLUMN_COMMAND);
    record->entrypoint_json = db_get_text(result, row, COLUMN_ENTRYPOINT);
    record->ports_json = db_get_text(result, row, COLUMN_PORTS);
    record->labels_json = db_get_text(result, row, COLUMN_LABELS);
    record->cap_add_json = db_get_text(result, row, COLUMN_CAP_ADD);
    record->cap_drop_json = db_get_text(result, row, COLUMN_CAP_DROP);
    record->env_json = db_get_text(result, row, COLUMN_ENV);
    record->network = db_get_text(result, row, COLUMN_NETWORK);
    record->node = db_get_text(result, row, COLUMN_NODE);
}

static uint32_t read_number(const PGresult *result, int row, enum container_column column)
{
    return (uint32_t)db_get_int(result, row, (int)column);
}

static void read_limits(const PGresult *result, int row, struct container_record *record)
{
    record->read_only_root = db_get_bool(result, row, COLUMN_READ_ONLY_ROOT);
    record->cpu_milli = read_number(result, row, COLUMN_CPU_MILLI);
    record->memory_mb = read_number(result, row, COLUMN_MEMORY_MB);
    record->disk_mb = read_number(result, row, COLUMN_DISK_MB);
    record->pids_max = read_number(result, row, COLUMN_PIDS_MAX);
    record->run_timeout_s = read_number(result, row, COLUMN_RUN_TIMEOUT);
    record->max_retries = read_number(result, row, COLUMN_MAX_RETRIES);
    record->command_timeout_s = read_number(result, row, COLUMN_COMMAND_TIMEOUT_MS) / 1000;
    record->idle_timeout_s = read_number(result, row, COLUMN_IDLE_TIMEOUT);
    record->max_lifetime_s = read_number(result, row, COLUMN_MAX_LIFETIME);
}

/* Its strings stand in the result. */
static int read_row(const PGresult *result, int row, struct container_record *ret_record,
                    struct error *err)
{
    struct container_record record = {
        .id = db_get_uuid(result, row, COLUMN_ID),
        .tenant = db_get_uuid(result, row, COLUMN_TENANT),
        .project = db_get_uuid(result, row, COLUMN_PROJECT),
        .generation = read_number(result, row, COLUMN_GENERATION),
        .version = read_number(result, row, COLUMN_VERSION),
        .exit_code = -1,
        .exit_signal = (int)db_get_int(result, row, COLUMN_EXIT_SIGNAL),
        .created_usec = db_get_time(result, row, COLUMN_CREATED_AT),
        .started_usec = db_get_time(result, row, COLUMN_STARTED_AT),
        .last_active_usec = db_get_time(result, row, COLUMN_LAST_ACTIVE_AT),
        .expires_usec = db_get_time(result, row, COLUMN_EXPIRES_AT),
    };

    if (!sandbox_state_parse(db_get_text(result, row, COLUMN_STATE), &record.state))
        return error_set(err, ERR_INTERNAL, "the database has an unknown state");
    if (!PQgetisnull(result, row, COLUMN_EXIT_CODE))
        record.exit_code = (int)db_get_int(result, row, COLUMN_EXIT_CODE);
    read_texts(result, row, &record);
    read_limits(result, row, &record);
    *ret_record = record;
    return 0;
}

int container_row_take(PGresult **result, struct container_record *ret_record, struct error *err)
{
    if (read_row(*result, 0, ret_record, err) < 0)
        return -1;
    ret_record->owner = TAKE_PTR(*result);
    return 0;
}

int container_rows_take(PGresult **result, struct container_list *ret_list, struct error *err)
{
    size_t count = (size_t)PQntuples(*result);
    _cleanup_free_ struct container_record *items = calloc(count + 1, sizeof(*items));

    if (!items)
        return error_set_errno(err, ENOMEM, "cannot list sandboxes");
    for (size_t i = 0; i < count; i++)
        if (read_row(*result, (int)i, &items[i], err) < 0)
            return -1;
    *ret_list = (struct container_list){
        .items = TAKE_PTR(items), .count = count, .owner = TAKE_PTR(*result)};
    return 0;
}
