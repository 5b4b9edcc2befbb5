/* The columns of a struct container_record and how to read them. Internal to lib/db. */
#ifndef LIB_DB_CONTAINER_ROW_H
#define LIB_DB_CONTAINER_ROW_H

#include <atoll/container.h>
#include <atoll/error.h>
#include <postgresql/libpq-fe.h>

/* `env` is an expression: "env::text", or NULL where the environment is not wanted. */
#define CONTAINER_COLUMNS(env)                                                                     \
    "id, tenant_id, project_id, state, generation, version, state_reason, name, image, runtime,"   \
    " command::text, entrypoint::text, ports::text, labels::text, cap_add::text, cap_drop::text,"  \
    " " env ", network, node_id, read_only_root, cpu_milli, memory_limit_mb, disk_mb, pids_max,"   \
    " run_timeout_s, max_retries, command_timeout_ms, idle_timeout_s, max_lifetime_s, exit_code,"  \
    " exit_signal, created_at, started_at, last_active_at, expires_at"

/*
 * When the idle timeout of a container that nobody uses has passed. While PostgreSQL was away no
 * use could be written: the time counts anew from its start.
 */
#define CONTAINER_IDLE_ENDS                                                                        \
    "greatest(last_active_at, pg_postmaster_start_time()) + idle_timeout_s * interval '1 second'"

/* Reads the first row of *result, which becomes the record's and is NULL afterwards. */
int container_row_take(PGresult **result, struct container_record *ret_record, struct error *err);

/* Reads all rows, likewise. */
int container_rows_take(PGresult **result, struct container_list *ret_list, struct error *err);

#endif
